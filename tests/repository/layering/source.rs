//! As much of Rust's syntax as it takes to see what a file names: words and marks, paths, attributes.

/// A word or a mark of a source, with its line. Comments and literals are left out.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Token {
    pub(crate) line: usize,
    pub(crate) text: String,
}

impl Token {
    fn is_word(&self) -> bool {
        self.text.starts_with(|first: char| first.is_alphabetic() || first == '_')
    }
}

/// A path that a source names, such as `std::io::Read`, with its line; of a group of imports, each of its paths.
pub(crate) type Path = (usize, Vec<String>);

/// Splits a source into its tokens.
pub(crate) fn tokens(text: &str) -> Vec<Token> {
    let chars: Vec<char> = text.chars().collect();
    let (mut tokens, mut at, mut line) = (Vec::new(), 0, 1);
    while at < chars.len() {
        let len = skipped(&chars[at..]).unwrap_or(0);
        if len == 0 {
            let word = chars[at..].iter().take_while(|c| c.is_alphanumeric() || **c == '_').count();
            let end = at + word.max(1);
            tokens.push(Token { line, text: chars[at..end].iter().collect() });
            at = end;
        } else {
            line += chars[at..at + len].iter().filter(|c| **c == '\n').count();
            at += len;
        }
    }
    tokens
}

/// How long the white space, comment or literal is that begins here, if one does.
fn skipped(rest: &[char]) -> Option<usize> {
    let starts = |prefix: &str| prefix.chars().enumerate().all(|(i, c)| rest.get(i) == Some(&c));
    match rest[0] {
        c if c.is_whitespace() => Some(1),
        '/' if starts("//") => Some(rest.iter().position(|c| *c == '\n').unwrap_or(rest.len())),
        '/' if starts("/*") => Some(block_comment(rest)),
        '"' => Some(quoted(rest, '"')),
        'b' if starts("b\"") => Some(1 + quoted(&rest[1..], '"')),
        'b' if starts("b'") => Some(1 + quoted(&rest[1..], '\'')),
        'r' if starts("r\"") || starts("r#\"") => Some(raw(rest, 1)),
        'b' if starts("br\"") || starts("br#\"") => Some(raw(rest, 2)),
        // A lifetime is a quote and a word, without a quote behind its first character.
        '\'' if rest.get(1) == Some(&'\\') || rest.get(2) == Some(&'\'') => Some(quoted(rest, '\'')),
        _ => None,
    }
}

fn quoted(rest: &[char], quote: char) -> usize {
    let mut at = 1;
    while at < rest.len() && rest[at] != quote {
        at += if rest[at] == '\\' { 2 } else { 1 };
    }
    (at + 1).min(rest.len())
}

fn raw(rest: &[char], prefix: usize) -> usize {
    let hashes = rest[prefix..].iter().take_while(|c| **c == '#').count();
    let end: Vec<char> = std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
    let start = prefix + hashes + 1;
    let text = rest[start..].windows(end.len()).position(|window| window == end);
    text.map_or(rest.len(), |text| start + text + end.len())
}

fn block_comment(rest: &[char]) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at + 1 < rest.len() {
        match (rest[at], rest[at + 1]) {
            ('/', '*') => depth += 1,
            ('*', '/') => depth -= 1,
            _ => {
                at += 1;
                continue;
            }
        }
        at += 2;
        if depth == 0 {
            return at;
        }
    }
    rest.len()
}

/// Leaves out what stands under `#[cfg(test)]`.
pub(crate) fn without_tests(tokens: &[Token]) -> Vec<Token> {
    let is_test = |tokens: &[Token]| {
        ["#", "[", "cfg", "(", "test"].iter().zip(tokens).all(|(text, token)| token.text == *text)
    };
    let (mut kept, mut at) = (Vec::new(), 0);
    while at < tokens.len() {
        if is_test(&tokens[at..]) {
            at += item_len(&tokens[at..]);
        } else {
            kept.push(tokens[at].clone());
            at += 1;
        }
    }
    kept
}

/// How many tokens an item has, its attributes included: up to its semicolon or the end of its block.
fn item_len(tokens: &[Token]) -> usize {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate() {
        match token.text.as_str() {
            "{" | "(" | "[" => depth += 1,
            "}" | ")" | "]" => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 && matches!(token.text.as_str(), ";" | "}") {
            return at + 1;
        }
    }
    tokens.len()
}

/// Finds every path that is named, also those of a single word.
pub(crate) fn paths(tokens: &[Token]) -> Vec<Path> {
    let (mut found, mut at) = (Vec::new(), 0);
    while at < tokens.len() {
        at = if tokens[at].is_word() { path(tokens, at, &[], &mut found) } else { at + 1 };
    }
    found
}

/// Reads the path that begins here, or the group of them, and returns where it ends.
fn path(tokens: &[Token], mut at: usize, prefix: &[String], found: &mut Vec<Path>) -> usize {
    let (mut words, line) = (prefix.to_vec(), tokens[at].line);
    let text = |at: usize| tokens.get(at).map_or("", |token| token.text.as_str());
    loop {
        words.push(text(at).to_owned());
        at += 1;
        if (text(at), text(at + 1)) != (":", ":") {
            break;
        }
        at += 2;
        if text(at) == "{" {
            return group(tokens, at + 1, &words, found);
        }
        if !tokens.get(at).is_some_and(Token::is_word) {
            break;
        }
    }
    // A crate that is imported as a whole is more than a word.
    if words.len() == 1 && at > 1 && text(at - 2) == "use" {
        words.push("self".to_owned());
    }
    found.push((line, words));
    at
}

fn group(tokens: &[Token], mut at: usize, prefix: &[String], found: &mut Vec<Path>) -> usize {
    while at < tokens.len() && tokens[at].text != "}" {
        at = if tokens[at].is_word() { path(tokens, at, prefix, found) } else { at + 1 };
    }
    at + 1
}

/// Finds the lines within the bodies of functions on which something depends on a feature.
pub(crate) fn features_in_functions(tokens: &[Token]) -> Vec<usize> {
    let (mut blocks, mut found) = (Vec::new(), Vec::new());
    let (mut is_function, mut brackets) = (false, 0_usize);
    for (at, token) in tokens.iter().enumerate() {
        let next = tokens.get(at + 1);
        match token.text.as_str() {
            // The name distinguishes a function from the type of one.
            "fn" if next.is_some_and(Token::is_word) => is_function = true,
            "(" | "[" => brackets += 1,
            ")" | "]" => brackets = brackets.saturating_sub(1),
            ";" if brackets == 0 => is_function = false,
            "{" => blocks.push(std::mem::take(&mut is_function)),
            "}" => drop(blocks.pop()),
            "cfg" | "cfg_attr" if blocks.contains(&true) => {
                let condition =
                    tokens[at..].iter().take_while(|token| !matches!(token.text.as_str(), "]" | ";" | "{"));
                found.extend(
                    condition.filter(|token| token.text == "feature").map(|token| token.line).take(1),
                );
            }
            _ => {}
        }
    }
    found
}
