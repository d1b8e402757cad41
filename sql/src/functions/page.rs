//! The page of the documentation that lists all functions.

use std::fmt::Write;

use super::pattern::split;
use super::registry::built_in;
use super::{FunctionDoc, FunctionKind};

/// `docs/functions.md`: what SHOW FUNCTIONS and DESCRIBE FUNCTION tell, by kind and name.
pub fn page() -> String {
    let mut out = String::from(
        "# Functions\n\nThis page is made from the registry of functions, and a test runs all \
         examples. A capital letter in a signature is any type, `ANY` any type at each place its \
         own, `T...` any number of arguments, `(K, V) => R` a lambda. Names are not case \
         sensitive. `DESCRIBE FUNCTION name;` tells the same.\n",
    );
    for (kind, title) in [
        (FunctionKind::Scalar, "Scalar functions"),
        (FunctionKind::Aggregate, "Aggregate functions"),
        (FunctionKind::Table, "Table functions"),
    ] {
        let docs: Vec<&FunctionDoc> = built_in().iter().filter(|doc| doc.kind == kind).collect();
        let _ = write!(out, "\n## {title} ({})\n", docs.len());
        docs.into_iter().for_each(|doc| entry(doc, &mut out));
    }
    out
}

fn entry(doc: &FunctionDoc, out: &mut String) {
    let _ = write!(out, "\n### {}\n\n{}\n\n```\n", doc.name, doc.description);
    for signature in &doc.signatures {
        let _ = writeln!(out, "{}{signature}", doc.name);
    }
    let _ = write!(out, "```\n\n");
    let result = doc.example_result.replace('\n', "`, then `");
    let _ = match doc.example_rows {
        [] => writeln!(out, "`{}` gives `{result}`.", doc.example),
        rows => {
            let columns = &["X", "Y", "Z"][..split(rows[0]).len().min(3)].join(", ");
            writeln!(
                out,
                "`{}` over rows with {columns} = `{}` gives `{result}`.",
                doc.example,
                rows.join("`, `")
            )
        }
    };
}
