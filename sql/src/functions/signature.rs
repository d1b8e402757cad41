//! Signatures in the notation that people read, and which of them a call fits.
//!
//! `(STRING, INT) -> STRING`; a capital letter is any type; `T...` repeats; `!INT` is a constant;
//! `DECIMAL` has any precision and scale; `UNIT` is a time unit such as DAYS.

use crate::expr::Typed;
use crate::expr::{can_implicitly_cast, common_numeric};
use crate::types::SqlType;

/// A parsed signature.
#[derive(Debug, Clone)]
pub(super) struct Signature {
    pub(super) params: Vec<Param>,
    /// The last parameter may be repeated, or left out if it stands alone.
    variadic: bool,
    returns: Pattern,
}

#[derive(Debug, Clone)]
pub(super) struct Param {
    pattern: Pattern,
    pub(super) constant: bool,
}

#[derive(Debug, Clone, PartialEq)]
enum Pattern {
    Type(SqlType),
    Decimal,
    Any(char),
    Unit,
    Array(Box<Pattern>),
    Map(Box<Pattern>, Box<Pattern>),
}

/// The types that the letters of a signature stand for in a call; `#` is DECIMAL.
#[derive(Debug, Clone, Default)]
struct Bindings(Vec<(char, SqlType)>);

/// A signature that a call fits.
#[derive(Debug, Clone)]
pub(super) struct Fit {
    /// Of the candidates the cheapest wins: exact types, then letters, then casts.
    pub(super) cost: u32,
    pub(super) types: Vec<SqlType>,
    pub(super) returns: SqlType,
}

/// The time units, as singular and plural.
pub(super) const UNITS: [(&str, i64); 10] = [
    ("MILLISECOND", 1),
    ("MILLISECONDS", 1),
    ("SECOND", 1_000),
    ("SECONDS", 1_000),
    ("MINUTE", 60_000),
    ("MINUTES", 60_000),
    ("HOUR", 3_600_000),
    ("HOURS", 3_600_000),
    ("DAY", 86_400_000),
    ("DAYS", 86_400_000),
];

impl Signature {
    /// Parses the notation; `None` when it is not well formed.
    pub(super) fn parse(text: &str) -> Option<Signature> {
        let (params, returns) = text.split_once("->")?;
        let params = params.trim().strip_prefix('(')?.strip_suffix(')')?;
        let variadic = params.ends_with("...");
        let params = params.trim_end_matches("...");
        let params = split(params).into_iter().map(|param| {
            let constant = param.starts_with('!');
            let pattern = Pattern::parse(param.trim_start_matches('!'))?;
            Some(Param { pattern, constant })
        });
        let params = params.collect::<Option<Vec<_>>>()?;
        Some(Signature { params, variadic, returns: Pattern::parse(returns.trim())? })
    }

    /// How well `args` fit; `None` if they do not.
    pub(super) fn fit(&self, args: &[Typed], casts: bool) -> Option<Fit> {
        let fixed = self.params.len() - usize::from(self.variadic);
        let enough = if self.variadic { args.len() >= fixed } else { args.len() == fixed };
        if !enough {
            return None;
        }
        let mut bindings = Bindings::default();
        let mut cost = u32::from(self.variadic);
        for (at, arg) in args.iter().enumerate() {
            cost += self.param(at)?.pattern.bind(arg, casts, &mut bindings)?;
        }
        let mut types = Vec::with_capacity(args.len());
        for (at, arg) in args.iter().enumerate() {
            let ty = self.param(at)?.pattern.resolve(&bindings)?;
            let fits = arg.ty.as_ref().is_none_or(|from| can_implicitly_cast(from, &ty));
            types.push(Some(ty).filter(|_| fits)?);
        }
        Some(Fit { cost, types, returns: self.returns.resolve(&bindings)? })
    }

    fn param(&self, at: usize) -> Option<&Param> {
        self.params.get(at).or_else(|| self.params.last().filter(|_| self.variadic))
    }
}

/// Splits at the commas that are not inside `<...>`.
fn split(text: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 0, 0);
    for (at, c) in text.char_indices() {
        match c {
            '<' => depth += 1,
            '>' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(text[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    let last = text[start..].trim();
    parts.extend((!last.is_empty()).then_some(last));
    parts
}

impl Pattern {
    fn parse(text: &str) -> Option<Pattern> {
        if let Some(inner) = text.strip_prefix("ARRAY<").and_then(|rest| rest.strip_suffix('>')) {
            return Some(Pattern::Array(Box::new(Pattern::parse(inner)?)));
        }
        if let Some(inner) = text.strip_prefix("MAP<").and_then(|rest| rest.strip_suffix('>')) {
            let [key, value] = split(inner).try_into().ok()?;
            let (key, value) = (Pattern::parse(key)?, Pattern::parse(value)?);
            return Some(Pattern::Map(Box::new(key), Box::new(value)));
        }
        Some(Pattern::Type(match text {
            "DECIMAL" => return Some(Pattern::Decimal),
            "UNIT" => return Some(Pattern::Unit),
            "BOOLEAN" => SqlType::Boolean,
            "INT" => SqlType::Integer,
            "BIGINT" => SqlType::Bigint,
            "DOUBLE" => SqlType::Double,
            "STRING" => SqlType::String,
            "BYTES" => SqlType::Bytes,
            "DATE" => SqlType::Date,
            "TIME" => SqlType::Time,
            "TIMESTAMP" => SqlType::Timestamp,
            letter => {
                let mut chars = letter.chars();
                let letter = chars.next().filter(char::is_ascii_uppercase)?;
                return chars.next().is_none().then_some(Pattern::Any(letter));
            }
        }))
    }

    /// Notes what the argument says about the letters, and what it costs to take it.
    fn bind(&self, arg: &Typed, casts: bool, bindings: &mut Bindings) -> Option<u32> {
        if *self == Pattern::Unit {
            return is_unit(arg).then_some(0);
        }
        match &arg.ty {
            None => Some(0),
            Some(ty) => self.bind_type(ty, casts, bindings),
        }
    }

    fn bind_type(&self, ty: &SqlType, casts: bool, bindings: &mut Bindings) -> Option<u32> {
        const LETTER: u32 = 2;
        match (self, ty) {
            (Pattern::Type(want), ty) => cast_cost(ty, want).filter(|cost| casts || *cost == 0),
            (Pattern::Decimal, SqlType::Decimal { .. }) => {
                bindings.widen('#', ty, casts).then_some(0)
            }
            (Pattern::Decimal, SqlType::Integer | SqlType::Bigint) if casts => {
                let zero = SqlType::Decimal { precision: 1, scale: 0 };
                bindings.widen('#', &common_numeric(ty, &zero), true).then_some(15)
            }
            (Pattern::Any(letter), ty) => bindings.widen(*letter, ty, casts).then_some(LETTER),
            (Pattern::Array(item), SqlType::Array(ty)) => item.bind_type(ty, casts, bindings),
            (Pattern::Map(key, value), SqlType::Map(key_ty, value_ty)) => {
                let key = key.bind_type(key_ty, casts, bindings)?;
                Some(key + value.bind_type(value_ty, casts, bindings)?)
            }
            _ => None,
        }
    }

    fn resolve(&self, bindings: &Bindings) -> Option<SqlType> {
        Some(match self {
            Pattern::Type(ty) => ty.clone(),
            Pattern::Unit => SqlType::String,
            Pattern::Decimal => bindings.get('#')?,
            Pattern::Any(letter) => bindings.get(*letter)?,
            Pattern::Array(item) => SqlType::Array(Box::new(item.resolve(bindings)?)),
            Pattern::Map(key, value) => {
                let (key, value) = (key.resolve(bindings)?, value.resolve(bindings)?);
                SqlType::Map(Box::new(key), Box::new(value))
            }
        })
    }
}

impl Bindings {
    fn get(&self, letter: char) -> Option<SqlType> {
        self.0.iter().find(|(known, _)| *known == letter).map(|(_, ty)| ty.clone())
    }

    /// Lets `letter` stand for `ty` too; false when it already stands for something else.
    fn widen(&mut self, letter: char, ty: &SqlType, casts: bool) -> bool {
        let Some((_, known)) = self.0.iter_mut().find(|(known, _)| *known == letter) else {
            self.0.push((letter, ty.clone()));
            return true;
        };
        if known == ty {
            return true;
        }
        if casts && known.is_numeric() && ty.is_numeric() {
            *known = common_numeric(known, ty);
            return true;
        }
        if casts && can_implicitly_cast(known, ty) {
            *known = ty.clone();
            return true;
        }
        casts && can_implicitly_cast(ty, known)
    }
}

fn is_unit(arg: &Typed) -> bool {
    use datafusion::scalar::ScalarValue;
    match arg.as_literal() {
        Some(ScalarValue::Utf8(Some(text))) => UNITS.iter().any(|(name, _)| name == text),
        _ => false,
    }
}

/// 0 for equal types; steps of the widening otherwise.
fn cast_cost(from: &SqlType, to: &SqlType) -> Option<u32> {
    let rank = |ty: &SqlType| match ty {
        SqlType::Integer => 0,
        SqlType::Bigint => 1,
        SqlType::Decimal { .. } => 2,
        _ => 3,
    };
    match (from, to) {
        (from, to) if from == to => Some(0),
        (from, to) if !can_implicitly_cast(from, to) => None,
        (from, to) if from.is_numeric() && to.is_numeric() => {
            Some(10 * (rank(to) - rank(from)).max(1))
        }
        _ => Some(40),
    }
}
