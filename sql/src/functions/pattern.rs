//! Types with gaps, as signatures have them, and what fills the gaps in a call.

use super::signature::Shape;
use super::units::is_unit;
use crate::expr::{can_implicitly_cast, common_numeric};
use crate::types::{SqlType, StructField};

/// A type with gaps.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Pattern {
    Type(SqlType),
    Decimal,
    /// The same type wherever it stands in a signature.
    Letter(char),
    Any,
    Unit,
    Array(Box<Pattern>),
    Map(Box<Pattern>, Box<Pattern>),
    Struct(Vec<(String, Pattern)>),
    Lambda(Vec<Pattern>, Box<Pattern>),
}

/// The types that the letters of a signature stand for in a call; `#` is DECIMAL.
#[derive(Debug, Clone, Default)]
pub(super) struct Bindings(Vec<(char, SqlType)>);

/// Splits at the commas that stand in no bracket.
pub(super) fn split(text: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 0, 0);
    let mut before = ' ';
    for (at, c) in text.char_indices() {
        match c {
            '<' | '(' | '[' => depth += 1,
            '>' if before == '=' => {}
            '>' | ')' | ']' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(text[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
        before = c;
    }
    let last = text[start..].trim();
    parts.extend((!last.is_empty()).then_some(last));
    parts
}

fn inside<'a>(text: &'a str, kind: &str) -> Option<&'a str> {
    text.strip_prefix(kind)?.strip_prefix('<')?.strip_suffix('>')
}

impl Pattern {
    pub(super) fn parse(text: &str) -> Option<Pattern> {
        if let Some((params, returns)) = text.split_once("=>") {
            let params = params.trim().trim_start_matches('(').trim_end_matches(')');
            let params = split(params).into_iter().map(Pattern::parse).collect::<Option<_>>()?;
            return Some(Pattern::Lambda(params, Box::new(Pattern::parse(returns.trim())?)));
        }
        if let Some(inner) = inside(text, "ARRAY") {
            return Some(Pattern::Array(Box::new(Pattern::parse(inner)?)));
        }
        if let Some(inner) = inside(text, "MAP") {
            let [key, value] = split(inner).try_into().ok()?;
            let (key, value) = (Pattern::parse(key)?, Pattern::parse(value)?);
            return Some(Pattern::Map(Box::new(key), Box::new(value)));
        }
        if let Some(inner) = inside(text, "STRUCT") {
            let fields = split(inner).into_iter().map(|field| {
                let (name, ty) = field.split_once(' ')?;
                Some((name.to_string(), Pattern::parse(ty.trim())?))
            });
            return Some(Pattern::Struct(fields.collect::<Option<_>>()?));
        }
        Pattern::parse_word(text)
    }

    fn parse_word(text: &str) -> Option<Pattern> {
        Some(Pattern::Type(match text {
            "ANY" => return Some(Pattern::Any),
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
            decimal if decimal.starts_with("DECIMAL(") => {
                let digits = decimal.strip_prefix("DECIMAL(")?.strip_suffix(')')?;
                let (precision, scale) = digits.split_once(", ")?;
                let (precision, scale) = (precision.parse().ok()?, scale.parse().ok()?);
                SqlType::Decimal { precision, scale }
            }
            letter => {
                let mut chars = letter.chars();
                let letter = chars.next().filter(char::is_ascii_uppercase)?;
                // `K2` is a letter too: the second that maps of `K` may become.
                return match chars.next() {
                    None => Some(Pattern::Letter(letter)),
                    Some('2') => Some(Pattern::Letter(letter.to_ascii_lowercase())),
                    Some(_) => None,
                };
            }
        }))
    }

    /// Notes what the argument says about the letters; false if it does not fit.
    pub(super) fn bind(&self, arg: Shape<'_>, casts: bool, bindings: &mut Bindings) -> bool {
        match (self, arg) {
            (Pattern::Lambda(params, _), Shape::Lambda(count)) => params.len() == count,
            (Pattern::Lambda(..), _) | (_, Shape::Lambda(_)) => false,
            (Pattern::Unit, Shape::Value(arg)) => is_unit(arg),
            (_, Shape::Value(arg)) => match &arg.ty {
                None => true,
                Some(ty) => self.bind_type(ty, casts, bindings),
            },
        }
    }

    pub(super) fn bind_type(&self, ty: &SqlType, casts: bool, bindings: &mut Bindings) -> bool {
        match (self, ty) {
            // Arguments do not become TIMESTAMPs from DATEs, unlike columns of INSERT INTO.
            (Pattern::Type(SqlType::Timestamp), SqlType::Date) => false,
            (Pattern::Type(want), ty) => want == ty || (casts && can_implicitly_cast(ty, want)),
            (Pattern::Any, _) => true,
            (Pattern::Decimal, SqlType::Decimal { .. }) => bindings.widen('#', ty, true),
            (Pattern::Decimal, SqlType::Integer | SqlType::Bigint) if casts => {
                let zero = SqlType::Decimal { precision: 1, scale: 0 };
                bindings.widen('#', &common_numeric(ty, &zero), true)
            }
            (Pattern::Letter(letter), ty) => bindings.widen(*letter, ty, casts),
            (Pattern::Array(item), SqlType::Array(ty)) => item.bind_type(ty, casts, bindings),
            (Pattern::Map(key, value), SqlType::Map(key_ty, value_ty)) => {
                key.bind_type(key_ty, casts, bindings) && value.bind_type(value_ty, casts, bindings)
            }
            (Pattern::Struct(fields), SqlType::Struct(types)) => {
                // Members are not cast, as in ksqlDB.
                fields.len() == types.len()
                    && fields.iter().all(|(name, field)| {
                        let member = types.iter().find(|member| member.name == *name);
                        member.is_some_and(|member| field.bind_type(&member.ty, false, bindings))
                    })
            }
            _ => false,
        }
    }

    pub(super) fn resolve(&self, bindings: &Bindings) -> Option<SqlType> {
        Some(match self {
            Pattern::Type(ty) => ty.clone(),
            Pattern::Unit => SqlType::String,
            Pattern::Decimal => bindings.get('#')?,
            Pattern::Letter(letter) => bindings.get(*letter)?,
            Pattern::Any | Pattern::Lambda(..) => return None,
            Pattern::Array(item) => SqlType::Array(Box::new(item.resolve(bindings)?)),
            Pattern::Map(key, value) => {
                let (key, value) = (key.resolve(bindings)?, value.resolve(bindings)?);
                SqlType::Map(Box::new(key), Box::new(value))
            }
            Pattern::Struct(fields) => {
                let fields = fields.iter().map(|(name, field)| {
                    Some(StructField { name: name.clone(), ty: field.resolve(bindings)? })
                });
                SqlType::Struct(fields.collect::<Option<_>>()?)
            }
        })
    }

    /// As [`Pattern::resolve`], where letters that stand for nothing stand for STRING.
    pub(super) fn resolve_or_text(&self, bindings: &Bindings) -> Option<SqlType> {
        let mut all = bindings.clone();
        self.letters(&mut |letter| {
            if all.get(letter).is_none() {
                all.0.push((letter, SqlType::String));
            }
        });
        self.resolve(&all)
    }

    fn letters(&self, found: &mut dyn FnMut(char)) {
        match self {
            Pattern::Letter(letter) => found(*letter),
            Pattern::Array(item) => item.letters(found),
            Pattern::Map(key, value) => {
                key.letters(found);
                value.letters(found);
            }
            Pattern::Struct(fields) => fields.iter().for_each(|(_, field)| field.letters(found)),
            Pattern::Type(_)
            | Pattern::Decimal
            | Pattern::Any
            | Pattern::Unit
            | Pattern::Lambda(..) => (),
        }
    }

    pub(super) fn has_letters(&self) -> bool {
        match self {
            Pattern::Letter(_) | Pattern::Any => true,
            Pattern::Array(item) => item.has_letters(),
            Pattern::Map(key, value) => key.has_letters() || value.has_letters(),
            Pattern::Struct(fields) => fields.iter().any(|(_, field)| field.has_letters()),
            Pattern::Lambda(params, returns) => {
                returns.has_letters() || params.iter().any(Pattern::has_letters)
            }
            Pattern::Type(_) | Pattern::Decimal | Pattern::Unit => false,
        }
    }
}

impl Bindings {
    pub(super) fn get(&self, letter: char) -> Option<SqlType> {
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
