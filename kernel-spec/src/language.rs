//! Whether a piece of Rust is finished, and where a cursor is.

/// The state of a piece of code that is being typed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Completeness {
    /// It can be run.
    Complete,
    /// More has to follow, at this depth of brackets.
    Incomplete(usize),
    /// No continuation makes it right.
    Invalid,
}

/// Judges by brackets, strings and comments.
pub fn completeness(code: &str) -> Completeness {
    let mut open = Vec::new();
    let mut rest = code.chars().peekable();
    while let Some(character) = rest.next() {
        match character {
            '(' => open.push(')'),
            '[' => open.push(']'),
            '{' => open.push('}'),
            ')' | ']' | '}' => {
                let closed = open.pop();
                if closed != Some(character) {
                    return Completeness::Invalid;
                }
            }
            '/' if rest.peek() == Some(&'/') => while rest.next_if(|&next| next != '\n').is_some() {},
            '/' if rest.peek() == Some(&'*') => {
                rest.next();
                if !skip_comment(&mut rest) {
                    return Completeness::Incomplete(open.len());
                }
            }
            '"' => {
                let closed = skip_string(&mut rest);
                if !closed {
                    return Completeness::Incomplete(open.len());
                }
            }
            'r' => {
                let mut ahead = rest.clone();
                let hashes = std::iter::from_fn(|| ahead.next_if_eq(&'#')).count();
                if ahead.next_if_eq(&'"').is_some() {
                    rest = ahead;
                    if !skip_raw_string(&mut rest, hashes) {
                        return Completeness::Incomplete(open.len());
                    }
                }
            }
            character if character.is_alphanumeric() || character == '_' => {
                while rest.next_if(|next| next.is_alphanumeric() || *next == '_').is_some() {}
            }
            '\'' => {
                let mut ahead = rest.clone();
                // A character, or else the name of a lifetime.
                match (ahead.next(), ahead.next()) {
                    (Some('\\'), _) => {
                        rest.next();
                        rest.next();
                        while rest.next_if(|&next| next != '\'' && next != '\n').is_some() {}
                        rest.next();
                    }
                    (Some(_), Some('\'')) => rest = ahead,
                    _ => {}
                }
            }
            _ => {}
        }
    }
    let unfinished = ["=", ",", "+", "&&", "||", "=>", "->"].iter().any(|end| code.trim_end().ends_with(end));
    if open.is_empty() && !unfinished { Completeness::Complete } else { Completeness::Incomplete(open.len().max(1)) }
}

type Rest<'a> = std::iter::Peekable<std::str::Chars<'a>>;

fn skip_string(rest: &mut Rest<'_>) -> bool {
    while let Some(character) = rest.next() {
        match character {
            '\\' => drop(rest.next()),
            '"' => return true,
            _ => {}
        }
    }
    false
}

fn skip_raw_string(rest: &mut Rest<'_>, hashes: usize) -> bool {
    while let Some(character) = rest.next() {
        if character == '"' && (0..hashes).all(|_| rest.next_if_eq(&'#').is_some()) {
            return true;
        }
    }
    false
}

fn skip_comment(rest: &mut Rest<'_>) -> bool {
    let mut depth = 1;
    while let Some(character) = rest.next() {
        if character == '/' && rest.next_if_eq(&'*').is_some() {
            depth += 1;
        } else if character == '*' && rest.next_if_eq(&'/').is_some() {
            depth -= 1;
            if depth == 0 {
                return true;
            }
        }
    }
    false
}

/// The byte at a position that Jupyter counts in characters.
pub fn byte_of(code: &str, characters: usize) -> usize {
    code.char_indices().nth(characters).map_or(code.len(), |(at, _)| at)
}

/// The position in characters of a byte.
pub fn character_of(code: &str, byte: usize) -> usize {
    code.char_indices().take_while(|&(at, _)| at < byte).count()
}

/// The end of the name in which, or right after which, the cursor stands.
pub fn end_of_name(code: &str, byte: usize) -> usize {
    let name = |character: char| character.is_alphanumeric() || character == '_';
    byte + code[byte..].find(|character| !name(character)).unwrap_or(code.len() - byte)
}

#[cfg(test)]
mod tests {
    use super::Completeness::*;
    use super::*;

    #[test]
    fn finished_code_is_complete() {
        for code in [
            "",
            "1 + 1",
            "let x = '{';",
            r#"println!("({[");"#,
            "// (",
            "/* ( /* */ */ 1",
            r##"let raw = r#"" ("#;"##,
            "fn f<'a>(x: &'a str) -> &'a str { x }",
            r"let quote = '\'';",
            "for_r(\"(\")",
        ] {
            assert_eq!(completeness(code), Complete, "{code}");
        }
    }

    #[test]
    fn unfinished_code_is_incomplete() {
        for code in ["fn f() {", "let x = (1,", "\"abc", "/* abc", "let x =", "r#\"abc\"", "match x { 1 =>"] {
            assert!(matches!(completeness(code), Incomplete(_)), "{code}");
        }
        assert_eq!(completeness("if a { if b {"), Incomplete(2));
    }

    #[test]
    fn a_bracket_that_closes_nothing_is_invalid() {
        for code in [")", "fn f() { ]", "(1 + 2}"] {
            assert_eq!(completeness(code), Invalid, "{code}");
        }
    }

    #[test]
    fn positions_count_characters() {
        let code = "let µ = ü.x";
        assert_eq!(byte_of(code, 5), 6);
        assert_eq!(character_of(code, 6), 5);
        assert_eq!(byte_of(code, 99), code.len());
        assert_eq!(end_of_name("tensor.sum()", 2), 6);
        assert_eq!(end_of_name("tensor", 6), 6);
    }
}
