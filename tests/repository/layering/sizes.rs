//! How many methods a type has, and how many flags a struct.

use std::collections::BTreeMap;

use super::Source;
use super::source::Token;

/// The most methods of a type, in all its `impl` blocks together. Methods of traits do not count.
const MAX_METHODS: usize = 40;

/// The most fields of a struct that are `bool`. More of them are an `enum` without a name.
const MAX_FLAGS: usize = 3;

/// Types whose methods or fields are part of the interface of `ws` 0.9.
const FIXED: [&str; 2] = ["protocol::Frame", "reactor::Settings"];

/// Returns every type that is too large.
pub(crate) fn violations(sources: &[Source]) -> Vec<String> {
    let (mut methods, mut found) = (BTreeMap::<String, usize>::new(), Vec::new());
    for source in sources.iter().filter(|source| !source.is_test()) {
        let part = source.module().first().map_or_else(String::new, |part| format!("{part}::"));
        for (name, count) in blocks(&source.tokens).filter_map(|block| block.methods()) {
            *methods.entry(format!("{part}{name}")).or_default() += count;
        }
        for (name, flags) in blocks(&source.tokens).filter_map(|block| block.flags()) {
            let name = format!("{part}{name}");
            if flags > MAX_FLAGS && !FIXED.contains(&&*name) {
                found.push(format!("{name} has {flags} flags"));
            }
        }
    }
    methods.retain(|name, count| *count > MAX_METHODS && !FIXED.contains(&&**name));
    found.extend(methods.into_iter().map(|(name, count)| format!("{name} has {count} methods")));
    found
}

/// The head of an `impl` block or struct, from its keyword, and what is between its braces.
struct Block<'a> {
    head: &'a [Token],
    content: &'a [Token],
}

/// Finds the `impl` blocks and structs.
fn blocks(tokens: &[Token]) -> impl Iterator<Item = Block<'_>> {
    let is_start = |at: usize| {
        let before = at.checked_sub(1).map_or("", |before| &*tokens[before].text);
        match &*tokens[at].text {
            // Elsewhere `impl` is a type.
            "impl" => matches!(before, "" | "}" | ";" | "]" | "{"),
            text => text == "struct",
        }
    };
    (0..tokens.len()).filter(move |at| is_start(*at)).filter_map(|at| {
        let rest = &tokens[at..];
        let open = rest.iter().position(|token| matches!(&*token.text, "{" | ";"))?;
        let len = rest[open..].iter().scan(0, |depth, token| {
            match &*token.text {
                "{" => *depth += 1,
                "}" => *depth -= 1,
                _ => {}
            }
            (*depth > 0).then_some(())
        });
        let end = open + len.count();
        Some(Block { head: &rest[..open], content: rest.get(open + 1..end).unwrap_or_default() })
    })
}

impl Block<'_> {
    /// The type of an inherent `impl` block, and the number of its methods.
    fn methods(&self) -> Option<(String, usize)> {
        let name = self.type_name("impl")?;
        let mut depth = 0;
        let count = self.content.iter().filter(|token| {
            match &*token.text {
                "{" => depth += 1,
                "}" => depth -= 1,
                _ => {}
            }
            depth == 0 && token.text == "fn"
        });
        Some((name, count.count()))
    }

    /// The name of a struct, and the number of its fields that are `bool`.
    fn flags(&self) -> Option<(String, usize)> {
        let name = self.type_name("struct")?;
        let is_flag = |pair: &[Token]| pair[0].text == ":" && pair[1].text == "bool";
        Some((name, self.content.windows(2).filter(|pair| is_flag(pair)).count()))
    }

    /// The name of the type behind a keyword and its generics. `None` for another keyword, and for the `impl` of a trait.
    fn type_name(&self, keyword: &str) -> Option<String> {
        let (first, rest) = self.head.split_first()?;
        if first.text != keyword || rest.iter().any(|token| token.text == "for") {
            return None;
        }
        let generics = if rest.first()?.text == "<" { generics_len(rest) } else { 0 };
        let path = rest[generics..].iter().take_while(|token| !matches!(&*token.text, "<" | "where" | "("));
        path.last().map(|token| token.text.clone())
    }
}

/// How many tokens there are up to the end of the generics that begin here.
fn generics_len(tokens: &[Token]) -> usize {
    let (mut depth, mut before) = (0, "");
    for (at, token) in tokens.iter().enumerate() {
        match &*token.text {
            "<" => depth += 1,
            ">" if before != "-" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at + 1;
        }
        before = &token.text;
    }
    tokens.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Vec<String> {
        violations(&[Source::new("src/protocol/planted.rs", text)])
    }

    #[test]
    fn a_type_with_many_methods_is_found_across_its_blocks() {
        let method = "fn act(&self, other: impl Into<Message>) { if self.is_set { fn inner() {} } }";
        let block =
            |count| format!("impl<F: Fn() -> bool> Planted<F> where F: Copy {{ {} }}", method.repeat(count));
        assert_eq!(of(&[block(20), block(20)].concat()), [""; 0]);
        assert_eq!(of(&[block(20), block(21)].concat()), ["protocol::Planted has 41 methods"]);
        assert_eq!(of(&format!("impl Debug for Planted {{ {} }}", method.repeat(41))), [""; 0]);
    }

    #[test]
    fn a_struct_with_many_flags_is_found() {
        let structure =
            |count| format!("struct Planted<T> {{ {} t: Option<bool> }}", "f: bool, ".repeat(count));
        assert_eq!(of(&structure(3)), [""; 0]);
        assert_eq!(of(&structure(4)), ["protocol::Planted has 4 flags"]);
    }
}
