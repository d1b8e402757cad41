//! "Did you mean": the known name nearest to one that is not known.

/// Names longer than this are not compared; no real name is, and the work is quadratic.
const COMPARED_CHARS_MAX: usize = 64;

/// The candidate that takes the fewest edits, if that is few enough to be a slip: at most a third
/// of the name's length, and at least one. Case does not count as an edit. Of equals, the first.
pub fn closest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name = folded(name)?;
    let allowed = (name.len() / 3).max(1);
    let mut best: Option<(usize, &str)> = None;
    for candidate in candidates {
        let Some(other) = folded(candidate) else { continue };
        let most = best.map_or(allowed, |(edits, _)| edits - 1);
        if name.len().abs_diff(other.len()) > most {
            continue;
        }
        let edits = distance(&name, &other);
        // A candidate that shares nothing with a short name is no slip.
        if edits <= most && edits < name.len().max(other.len()) {
            best = Some((edits, candidate));
            if edits == 0 {
                break;
            }
        }
    }
    best.map(|(_, candidate)| candidate)
}

/// The hint for an unknown name: ``did you mean `PRICE`?``, if anything is near.
pub fn hint<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    closest(name, candidates).map(|candidate| format!("did you mean `{candidate}`?"))
}

fn folded(name: &str) -> Option<Vec<char>> {
    let chars: Vec<char> =
        name.chars().take(COMPARED_CHARS_MAX + 1).map(|c| c.to_ascii_uppercase()).collect();
    (!chars.is_empty() && chars.len() <= COMPARED_CHARS_MAX).then_some(chars)
}

/// Edits from one to the other: insert, delete, replace, or swap two neighbours.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut row = Vec::with_capacity(b.len() + 1);
        row.push(i + 1);
        for (j, y) in b.iter().enumerate() {
            let replaced = last[j] + usize::from(x != y);
            let mut edits = replaced.min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *x == b[j - 1] && a[i - 1] == *y {
                edits = edits.min(before[j - 1] + 1);
            }
            row.push(edits);
        }
        before = std::mem::replace(&mut last, row);
    }
    last.last().copied().unwrap_or(a.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_slips_and_nothing_else() {
        let columns = ["PRICE", "QUANTITY", "ID", "ITEM_ID", "ORDER_TIME"];
        let cases = [
            ("PRCIE", Some("PRICE")),
            ("price", Some("PRICE")),
            ("PRIC", Some("PRICE")),
            ("QUANITY", Some("QUANTITY")),
            ("ORDERTIME", Some("ORDER_TIME")),
            ("ITEMID", Some("ITEM_ID")),
            ("IT", Some("ID")),
            ("X", None),
            ("", None),
            ("COLOUR", None),
        ];
        for (name, expected) in cases {
            assert_eq!(closest(name, columns), expected, "{name}");
        }
        assert_eq!(hint("PRCIE", columns).as_deref(), Some("did you mean `PRICE`?"));
    }

    #[test]
    fn the_nearest_wins_and_the_first_of_equals() {
        assert_eq!(closest("ABCD", ["ABXX", "ABCX", "ABCY"]), Some("ABCX"));
        assert_eq!(closest("ab", ["AB", "ab"]), Some("AB"));
    }

    #[test]
    fn edits_are_counted_with_swaps() {
        let edits = |a: &str, b: &str| {
            distance(&a.chars().collect::<Vec<_>>(), &b.chars().collect::<Vec<_>>())
        };
        let cases = [("", "abc", 3), ("abc", "", 3), ("abc", "abc", 0), ("abc", "acb", 1)];
        let more = [("kitten", "sitting", 3), ("ab", "ba", 1), ("abcdef", "badcfe", 3)];
        for (a, b, expected) in cases.into_iter().chain(more) {
            assert_eq!(edits(a, b), expected, "{a} {b}");
            assert_eq!(edits(b, a), expected, "{b} {a}");
        }
    }
}
