//! Mathematical functions over DOUBLE, and ABS and SIGN over all numbers.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Decimal128Type, Float64Type, Int32Type, Int64Type};
use arrow::error::ArrowError;

use super::registry::{Body::*, Scalar};
use crate::expr::frame::Frame;
use crate::expr::kernel::{Args, Big, Dbl, Int, Str, mismatch, ok, rows1, rows2};
use crate::expr::random;

const MATH: &str = "MATHEMATICAL";

/// A function of one DOUBLE: name, description, example and its value, computation.
macro_rules! of_double {
    ($name:literal, $about:literal, $example:literal = $value:literal, $f:expr) => {
        Scalar {
            name: $name,
            category: MATH,
            about: $about,
            example: ($example, $value),
            overloads: &[
                ("(INT) -> DOUBLE", OfDoubles(|args, _| map_double(args, $f))),
                ("(BIGINT) -> DOUBLE", OfDoubles(|args, _| map_double(args, $f))),
                ("(DOUBLE) -> DOUBLE", OfDoubles(|args, _| map_double(args, $f))),
            ],
        }
    };
}

pub(super) static FUNCTIONS: &[Scalar] = &[
    Scalar {
        name: "ABS",
        category: MATH,
        about: "The absolute value; the smallest INT and BIGINT stay as they are.",
        example: ("ABS(-7)", "7"),
        overloads: &[
            ("(INT) -> INT", Kernel(abs)),
            ("(BIGINT) -> BIGINT", Kernel(abs)),
            ("(DECIMAL) -> DECIMAL", Kernel(abs)),
            ("(DOUBLE) -> DOUBLE", Kernel(abs)),
        ],
    },
    of_double!("ACOS", "Arc cosine, in radians.", "ACOS(1)" = "0.0", f64::acos),
    of_double!("ASIN", "Arc sine, in radians.", "ASIN(0)" = "0.0", f64::asin),
    of_double!("ATAN", "Arc tangent, in radians.", "ATAN(0)" = "0.0", f64::atan),
    Scalar {
        name: "ATAN2",
        category: MATH,
        about: "The angle of the point (x, y), in radians; y comes first.",
        example: ("ATAN2(0, 1)", "0.0"),
        overloads: &[
            ("(INT, INT) -> DOUBLE", OfDoubles(atan2)),
            ("(BIGINT, BIGINT) -> DOUBLE", OfDoubles(atan2)),
            ("(DOUBLE, DOUBLE) -> DOUBLE", OfDoubles(atan2)),
        ],
    },
    of_double!("CBRT", "Cube root.", "CBRT(27)" = "3.0", f64::cbrt),
    of_double!("COS", "Cosine of radians.", "COS(0)" = "1.0", f64::cos),
    of_double!("COSH", "Hyperbolic cosine.", "COSH(0)" = "1.0", f64::cosh),
    of_double!("COT", "Cotangent of radians.", "COT(0)" = "Infinity", |x| 1.0 / x.tan()),
    of_double!("DEGREES", "Radians to degrees.", "DEGREES(0)" = "0.0", degrees),
    of_double!("EXP", "e to the power of x.", "EXP(0)" = "1.0", f64::exp),
    Scalar {
        name: "GEO_DISTANCE",
        category: MATH,
        about: "Great-circle distance between two points (latitude, longitude, latitude, \
                longitude), in kilometres or with 'miles' as the fifth argument in miles.",
        example: ("ROUND(GEO_DISTANCE(37.4439, -122.1663, 51.5257, -0.1122))", "8635"),
        overloads: &[
            ("(DOUBLE, DOUBLE, DOUBLE, DOUBLE) -> DOUBLE", Kernel(geo_distance)),
            ("(DOUBLE, DOUBLE, DOUBLE, DOUBLE, STRING) -> DOUBLE", Kernel(geo_distance)),
        ],
    },
    of_double!("LN", "Natural logarithm.", "LN(1)" = "0.0", f64::ln),
    Scalar {
        name: "LOG",
        category: MATH,
        about: "LOG(x) is the natural logarithm, LOG(b, x) the logarithm to base b.",
        example: ("LOG(2, 8)", "3.0"),
        overloads: &[
            ("(INT) -> DOUBLE", OfDoubles(ln)),
            ("(BIGINT) -> DOUBLE", OfDoubles(ln)),
            ("(DOUBLE) -> DOUBLE", OfDoubles(ln)),
            ("(INT, INT) -> DOUBLE", OfDoubles(log)),
            ("(BIGINT, BIGINT) -> DOUBLE", OfDoubles(log)),
            ("(DOUBLE, DOUBLE) -> DOUBLE", OfDoubles(log)),
        ],
    },
    Scalar {
        name: "PI",
        category: MATH,
        about: "The number pi.",
        example: ("PI()", "3.141592653589793"),
        overloads: &[("() -> DOUBLE", Kernel(|args, _| constant(args, std::f64::consts::PI)))],
    },
    Scalar {
        name: "POWER",
        category: MATH,
        about: "base to the power of the exponent.",
        example: ("POWER(2, 10)", "1024.0"),
        overloads: &[
            ("(INT, INT) -> DOUBLE", OfDoubles(power)),
            ("(BIGINT, BIGINT) -> DOUBLE", OfDoubles(power)),
            ("(DOUBLE, DOUBLE) -> DOUBLE", OfDoubles(power)),
        ],
    },
    of_double!("RADIANS", "Degrees to radians.", "RADIANS(0)" = "0.0", radians),
    Scalar {
        name: "RANDOM",
        category: MATH,
        about: "A random number from 0.0 up to, but not, 1.0.",
        example: ("RANDOM() < 1", "true"),
        overloads: &[("() -> DOUBLE", Volatile(random_double))],
    },
    Scalar {
        name: "SIGN",
        category: MATH,
        about: "-1, 0 or 1.",
        example: ("SIGN(-3)", "-1"),
        overloads: &[
            (
                "(INT) -> INT",
                Kernel(|args, frame| rows1::<Int, Int>(args, frame, |x| ok(x.signum()))),
            ),
            (
                "(BIGINT) -> INT",
                Kernel(|args, frame| rows1::<Big, Int>(args, frame, |x| ok(x.signum() as i32))),
            ),
            (
                "(DOUBLE) -> INT",
                Kernel(|args, frame| rows1::<Dbl, Int>(args, frame, |x| ok(sign(x)))),
            ),
        ],
    },
    of_double!("SIN", "Sine of radians.", "SIN(0)" = "0.0", f64::sin),
    of_double!("SINH", "Hyperbolic sine.", "SINH(0)" = "0.0", f64::sinh),
    of_double!("SQRT", "Square root; NaN below 0.", "SQRT(16)" = "4.0", f64::sqrt),
    of_double!("TAN", "Tangent of radians.", "TAN(0)" = "0.0", f64::tan),
    of_double!("TANH", "Hyperbolic tangent.", "TANH(0)" = "0.0", f64::tanh),
];

fn map_double(args: &Args<'_>, f: impl Fn(f64) -> f64) -> Result<ArrayRef, ArrowError> {
    let values = args.array(0)?;
    let values = values.as_primitive_opt::<Float64Type>();
    let values = values.ok_or_else(|| mismatch("DOUBLE", args.returns))?;
    Ok(Arc::new(values.unary::<_, Float64Type>(f)))
}

fn constant(args: &Args<'_>, value: f64) -> Result<ArrayRef, ArrowError> {
    Ok(Arc::new(arrow::array::Float64Array::from(vec![value; args.rows])))
}

fn abs(args: &Args<'_>, _: &mut Frame) -> Result<ArrayRef, ArrowError> {
    let values = args.array(0)?;
    Ok(match values.data_type() {
        DataType::Int32 => {
            Arc::new(values.as_primitive::<Int32Type>().unary::<_, Int32Type>(i32::wrapping_abs))
        }
        DataType::Int64 => {
            Arc::new(values.as_primitive::<Int64Type>().unary::<_, Int64Type>(i64::wrapping_abs))
        }
        DataType::Decimal128(..) => {
            let decimals = values.as_primitive::<Decimal128Type>();
            let result = decimals.unary::<_, Decimal128Type>(i128::wrapping_abs);
            Arc::new(result.with_data_type(values.data_type().clone()))
        }
        _ => return map_double(args, f64::abs),
    })
}

/// In this order, which decides the last digit, Java did it when ksqlDB's results were written.
fn radians(degrees: f64) -> f64 {
    degrees / 180.0 * std::f64::consts::PI
}

fn degrees(radians: f64) -> f64 {
    radians * 180.0 / std::f64::consts::PI
}

fn sign(x: f64) -> i32 {
    i32::from(x > 0.0) - i32::from(x < 0.0)
}

fn atan2(args: &Args<'_>, frame: &mut Frame) -> Result<ArrayRef, ArrowError> {
    rows2::<Dbl, Dbl, Dbl>(args, frame, |y, x| ok(y.atan2(x)))
}

fn power(args: &Args<'_>, frame: &mut Frame) -> Result<ArrayRef, ArrowError> {
    rows2::<Dbl, Dbl, Dbl>(args, frame, |base, exponent| ok(base.powf(exponent)))
}

fn ln(args: &Args<'_>, _: &mut Frame) -> Result<ArrayRef, ArrowError> {
    map_double(args, f64::ln)
}

fn log(args: &Args<'_>, frame: &mut Frame) -> Result<ArrayRef, ArrowError> {
    rows2::<Dbl, Dbl, Dbl>(args, frame, |base, x| {
        ok(if base <= 0.0 || base == 1.0 { f64::NAN } else { x.ln() / base.ln() })
    })
}

fn random_double(args: &Args<'_>, frame: &mut Frame) -> Result<ArrayRef, ArrowError> {
    let mut values = Vec::with_capacity(args.rows);
    for row in 0..args.rows {
        // The upper 53 bits are all that a double below 1 can tell apart.
        let bits = random().unwrap_or_else(|| {
            frame.fault(row, "there is no source of randomness here");
            0
        });
        values.push((bits >> 11) as f64 / (1u64 << 53) as f64);
    }
    Ok(Arc::new(arrow::array::Float64Array::from(values)))
}

const EARTH_RADIUS_KM: f64 = 6371.0;
const EARTH_RADIUS_MILES: f64 = 3959.0;

fn geo_distance(args: &Args<'_>, frame: &mut Frame) -> Result<ArrayRef, ArrowError> {
    let mut out = arrow::array::Float64Builder::with_capacity(args.rows);
    for row in 0..args.rows {
        let mut at = [0.0; 4];
        let mut missing = false;
        for (index, coordinate) in at.iter_mut().enumerate() {
            match args.col(index)?.get::<Dbl>(row)? {
                Some(value) => *coordinate = value,
                None => missing = true,
            }
        }
        let unit = match args.cols.get(4) {
            Some(col) => col.get::<Str>(row)?,
            None => None,
        };
        let distance = match missing {
            true => Err("a coordinate is NULL"),
            false => haversine(at, unit),
        };
        match distance {
            Ok(distance) => out.append_value(distance),
            Err(message) => {
                frame.fault(row, message);
                out.append_null();
            }
        }
    }
    Ok(Arc::new(out.finish()))
}

fn haversine([lat1, lon1, lat2, lon2]: [f64; 4], unit: Option<&str>) -> Result<f64, &'static str> {
    if lat1.abs() > 90.0 || lat2.abs() > 90.0 || lon1.abs() > 180.0 || lon2.abs() > 180.0 {
        return Err("valid latitude is -90 to 90 and valid longitude -180 to 180");
    }
    let unit = unit.unwrap_or_default().trim().to_ascii_lowercase();
    let radius = match unit.as_str() {
        "" | "km" | "kilometer" | "kilometers" | "kilometre" | "kilometres" => EARTH_RADIUS_KM,
        "mi" | "mile" | "miles" => EARTH_RADIUS_MILES,
        _ => return Err("the unit of GEO_DISTANCE must be 'km' or 'miles'"),
    };
    let half = |from: f64, to: f64| (radians(to - from) / 2.0).sin().powi(2);
    let a = half(lat1, lat2) + half(lon1, lon2) * radians(lat1).cos() * radians(lat2).cos();
    Ok(2.0 * a.sqrt().asin() * radius)
}
