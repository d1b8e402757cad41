//! An expression with its SQL type, and the literals.

use std::fmt;

use datafusion::common::Column;
use datafusion::logical_expr::Expr;
use datafusion::scalar::ScalarValue;

use super::text::sql_text;
use crate::error::{Result, SqlError};
use crate::types::{DECIMAL_PRECISION_MAX, SqlType};

/// A DataFusion expression of exactly the Arrow type of `ty`, in terms of a schema's columns.
#[derive(Debug, Clone)]
pub struct Typed {
    pub expr: Expr,
    /// `None` for the literal NULL, which takes any type.
    pub ty: Option<SqlType>,
    /// What was written, where the expression is the value that it came to.
    written: Option<String>,
}

impl PartialEq for Typed {
    fn eq(&self, other: &Self) -> bool {
        self.expr == other.expr && self.ty == other.ty
    }
}

impl Typed {
    /// An expression that is known to be of type `ty`.
    pub fn new(expr: Expr, ty: SqlType) -> Self {
        Typed { expr, ty: Some(ty), written: None }
    }

    /// A column of the input.
    pub fn column(column: impl Into<Column>, ty: SqlType) -> Self {
        Typed::new(Expr::Column(column.into()), ty)
    }

    /// The literal NULL.
    pub fn null() -> Self {
        Typed { expr: Expr::Literal(ScalarValue::Null, None), ty: None, written: None }
    }

    /// TRUE or FALSE.
    pub fn boolean(value: bool) -> Self {
        Typed::literal(ScalarValue::Boolean(Some(value)), SqlType::Boolean)
    }

    /// A number of 32 bits.
    pub fn integer(value: i32) -> Self {
        Typed::literal(ScalarValue::Int32(Some(value)), SqlType::Integer)
    }

    /// A number of 64 bits.
    pub fn bigint(value: i64) -> Self {
        Typed::literal(ScalarValue::Int64(Some(value)), SqlType::Bigint)
    }

    /// A floating point number.
    pub fn double(value: f64) -> Self {
        Typed::literal(ScalarValue::Float64(Some(value)), SqlType::Double)
    }

    /// A text.
    pub fn string(value: impl Into<String>) -> Self {
        Typed::literal(ScalarValue::Utf8(Some(value.into())), SqlType::String)
    }

    /// A time unit (`DAYS`, `HOUR`, ...) as an argument of TIMESTAMPADD and the like.
    pub fn time_unit(name: &str) -> Self {
        Typed::string(name.to_ascii_uppercase())
    }

    /// The value of an unsigned number of the SQL text: INTEGER if it fits 32 bits, else BIGINT;
    /// DECIMAL with a point; DOUBLE with an exponent.
    ///
    /// # Errors
    /// When the number fits none of these types.
    pub fn number(text: &str) -> Result<Self> {
        if text.contains(['e', 'E']) {
            let parsed = text.parse::<f64>().ok().filter(|value| value.is_finite());
            return parsed.map(Typed::double).ok_or_else(|| not_a_number(text));
        }
        if text.contains('.') {
            return Typed::decimal(text);
        }
        if let Ok(value) = text.parse::<i32>() {
            return Ok(Typed::integer(value));
        }
        text.parse::<i64>().map(Typed::bigint).map_err(|_| not_a_number(text))
    }

    /// A DECIMAL literal; precision and scale are those of the text.
    ///
    /// # Errors
    /// When the text is no plain decimal number, or has more than 38 digits.
    pub fn decimal(text: &str) -> Result<Self> {
        let (negative, digits) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let all = format!("{whole}{fraction}");
        if all.is_empty() || !all.bytes().all(|b| b.is_ascii_digit()) {
            return Err(not_a_number(text));
        }
        let significant = all.trim_start_matches('0').len().max(fraction.len()).max(1);
        if significant > DECIMAL_PRECISION_MAX as usize {
            let message = format!("DECIMAL literal '{text}' has {significant} digits");
            let hint = format!("a DECIMAL has at most {DECIMAL_PRECISION_MAX} digits");
            return Err(SqlError::invalid(message).hint(hint));
        }
        let value: i128 = all.parse().map_err(|_| not_a_number(text))?;
        let value = if negative { -value } else { value };
        let (precision, scale) = (significant as u8, fraction.len() as u8);
        let scalar = ScalarValue::Decimal128(Some(value), precision, scale as i8);
        Ok(Typed::literal(scalar, SqlType::Decimal { precision, scale }))
    }

    fn literal(value: ScalarValue, ty: SqlType) -> Self {
        Typed::new(Expr::Literal(value, None), ty)
    }

    /// The value, if this is a literal.
    pub fn as_literal(&self) -> Option<&ScalarValue> {
        match &self.expr {
            Expr::Literal(value, _) => Some(value),
            _ => None,
        }
    }

    /// Gives the literal NULL the type `ty`; leaves everything else.
    pub(crate) fn typed_null(self, ty: &SqlType) -> Self {
        if !self.is_null() {
            return self;
        }
        let null = ScalarValue::try_from(ty.to_arrow()).unwrap_or(ScalarValue::Null);
        Typed::literal(null, ty.clone())
    }

    /// The same, which messages show as `text`.
    pub(crate) fn written_as(mut self, text: String) -> Self {
        self.written = Some(text);
        self
    }

    /// True for the literal NULL.
    pub fn is_null(&self) -> bool {
        self.ty.is_none()
    }
}

fn not_a_number(text: &str) -> SqlError {
    SqlError::invalid(format!("Invalid number '{text}'"))
}

/// The type's name as messages show it; `null` for the literal NULL.
pub(crate) fn type_name(ty: &Option<SqlType>) -> String {
    ty.as_ref().map_or_else(|| "null".to_string(), SqlType::to_string)
}

/// The expression as messages show it.
impl fmt::Display for Typed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.written {
            Some(text) => f.write_str(text),
            None => f.write_str(&sql_text(&self.expr)),
        }
    }
}
