//! Expressions from text, by descent: one function for each rule of the language. What is wrong is said with its place.

use super::{Compare, Expr, FieldTest, Number, NumberKey, Pattern, Query, TextKey, TextTest};
use lapwing_ring::Source;
use regex::bytes::Regex;
use std::fmt;
use std::str::FromStr;

/// Parentheses and `not` inside each other. Each takes some of the stack.
const DEEPEST: u32 = 64;
const SOURCES: [Source; 7] =
    [Source::Api, Source::Stdout, Source::Stderr, Source::Log, Source::Syslog, Source::Journal, Source::Kmsg];
/// The record's own fields. What a program wrote under such a name is called `field.NAME`.
const OWN: [&str; 8] = ["level", "pid", "tid", "uid", "tag", "comm", "src", "text"];
const FIELD: &str = "field.";

/// Does the program's field `name` need [`FIELD`] in front?
pub(super) fn is_own(name: &str) -> bool {
    OWN.contains(&name) || is_keyword(name) || name.starts_with(FIELD)
}

fn is_keyword(word: &str) -> bool {
    matches!(word, "and" | "or" | "not")
}

/// A text that is no expression, why, and where.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct QueryError {
    text: String,
    /// Byte where it goes wrong.
    at: usize,
    why: String,
}

impl QueryError {
    /// The byte of the text at which it goes wrong; the length of the text where something is missing at its end.
    pub fn at(&self) -> usize {
        self.at
    }
}

impl std::error::Error for QueryError {}

/// The text with a caret under the place, then what is wrong.
impl fmt::Display for QueryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // One column each, so that the caret stands where it should.
        let shown = |c: char| if c.is_control() || crate::escape::is_hidden(c) { ' ' } else { c };
        let line: String = self.text.chars().map(shown).collect();
        let column = self.text.get(..self.at).unwrap_or_default().chars().count();
        write!(f, "{}\n    {line}\n    {:column$}^", self.why, "")
    }
}

impl FromStr for Query {
    type Err = QueryError;

    fn from_str(text: &str) -> Result<Self, QueryError> {
        let mut parser = Parser { text, at: 0, depth: 0 };
        let parsed = parser.expression().and_then(|expr| {
            parser.blanks();
            let rest = parser.rest();
            match rest.chars().next() {
                None => Ok(expr),
                Some(')') => parser.fail("no parenthesis is open here"),
                Some(_) => parser.fail("`and`, `or` or the end is expected here"),
            }
        });
        parsed.map(Query).map_err(|(at, why)| QueryError { text: text.to_owned(), at, why })
    }
}

type Parsed<T> = Result<T, (usize, String)>;

struct Parser<'a> {
    text: &'a str,
    at: usize,
    depth: u32,
}

impl<'a> Parser<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn fail<T>(&self, why: impl Into<String>) -> Parsed<T> {
        Err((self.at, why.into()))
    }

    fn blanks(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start().len();
    }

    /// A run of the characters that names and bare values have.
    fn word(&mut self) -> &'a str {
        let rest = self.rest();
        let end = rest.find(|c: char| c.is_whitespace() || "()=!<>~\"'\\".contains(c)).unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }

    fn keyword(&mut self, keyword: &str) -> bool {
        self.blanks();
        let start = self.at;
        if self.word() == keyword {
            return true;
        }
        self.at = start;
        false
    }

    fn sign(&mut self, sign: &str) -> bool {
        let found = self.rest().starts_with(sign);
        self.at += if found { sign.len() } else { 0 };
        found
    }

    fn expression(&mut self) -> Parsed<Expr> {
        let mut parts = vec![self.both()?];
        while self.keyword("or") {
            parts.push(self.both()?);
        }
        Ok(if parts.len() == 1 { parts.swap_remove(0) } else { Expr::Or(flat(parts, or_parts)) })
    }

    fn both(&mut self) -> Parsed<Expr> {
        let mut parts = vec![self.one()?];
        while self.keyword("and") {
            parts.push(self.one()?);
        }
        Ok(if parts.len() == 1 { parts.swap_remove(0) } else { Expr::And(flat(parts, and_parts)) })
    }

    fn one(&mut self) -> Parsed<Expr> {
        self.blanks();
        let start = self.at;
        let is_not = self.keyword("not");
        let is_open = !is_not && self.sign("(");
        if !is_not && !is_open {
            return self.test();
        }
        if self.depth == DEEPEST {
            return Err((start, format!("more than {DEEPEST} parentheses and `not` inside each other")));
        }
        self.depth += 1;
        let expr = if is_not { Expr::Not(Box::new(self.one()?)) } else { self.expression()? };
        self.depth -= 1;
        self.blanks();
        if is_open && !self.sign(")") {
            let opened = self.text[..start].chars().count() + 1;
            return self.fail(format!("`)` is missing for the parenthesis in column {opened}"));
        }
        Ok(expr)
    }

    fn test(&mut self) -> Parsed<Expr> {
        let start = self.at;
        let name = self.word();
        if name.is_empty() || is_keyword(name) {
            self.at = start;
            return self.fail("the name of a field is expected here, for instance level>=warn");
        }
        self.blanks();
        let sign_at = self.at;
        let Some(sign) = ["!=", "!~", "<=", ">=", "=", "~", "<", ">"].into_iter().find(|sign| self.sign(sign)) else {
            return self.fail("one of = != < <= > >= ~ !~ is expected here");
        };
        self.blanks();
        let value_at = self.at;
        let value = self.value()?;
        let not_here = |why: &str| Err((sign_at, format!("{why}, not by {sign}")));
        let wrong = |why: String| Err((value_at, why));
        let compare = compare(sign);
        let text = || std::str::from_utf8(&value).unwrap_or_default();
        match name {
            "level" => match (compare, text().parse()) {
                (None, _) => not_here("levels are compared by = != < <= > >="),
                (_, Err(unknown)) => wrong(format!("{unknown}")),
                (Some(compare), Ok(level)) => Ok(Expr::Level(compare, level)),
            },
            "pid" | "tid" | "uid" => match (compare, text().parse()) {
                (None, _) => not_here("numbers are compared by = != < <= > >="),
                (_, Err(_)) => wrong(format!("{name} is a number")),
                (Some(compare), Ok(number)) => {
                    let key = match name {
                        "pid" => NumberKey::Pid,
                        "tid" => NumberKey::Tid,
                        _ => NumberKey::Uid,
                    };
                    Ok(Expr::Number(key, compare, number))
                }
            },
            "src" => match (compare, SOURCES.into_iter().find(|source| source.name().as_bytes() == value)) {
                (Some(compare @ (Compare::Is | Compare::IsNot)), Some(source)) => {
                    Ok(Expr::Source(compare == Compare::Is, source))
                }
                (Some(Compare::Is | Compare::IsNot), None) => {
                    wrong(format!("no such source; sources are {}", SOURCES.map(Source::name).join(", ")))
                }
                _ => not_here("sources are compared by = !="),
            },
            "tag" | "comm" | "text" => {
                let key = match name {
                    "tag" => TextKey::Tag,
                    "comm" => TextKey::Comm,
                    _ => TextKey::Text,
                };
                match compare {
                    None => Ok(Expr::Text(key, TextTest::Matches(sign == "~", pattern(value, value_at)?))),
                    Some(Compare::Is) => Ok(Expr::Text(key, TextTest::Is(true, value))),
                    Some(Compare::IsNot) => Ok(Expr::Text(key, TextTest::Is(false, value))),
                    Some(_) => not_here("texts are compared by = != ~ !~"),
                }
            }
            _ => {
                let key = name.strip_prefix(FIELD).unwrap_or(name);
                if key.is_empty() {
                    return Err((start, "the name of the field is missing behind `field.`".to_owned()));
                }
                let number = Number::parse(text());
                let test = match (compare, number) {
                    (None, _) => FieldTest::Matches(sign == "~", pattern(value, value_at)?),
                    (Some(Compare::Is), number) => FieldTest::Is(true, value, number),
                    (Some(Compare::IsNot), number) => FieldTest::Is(false, value, number),
                    (Some(compare), Some(number)) => FieldTest::Order(compare, number),
                    (Some(_), None) => return wrong(format!("{sign} compares with a number")),
                };
                Ok(Expr::Field(key.to_owned(), test))
            }
        }
    }

    fn value(&mut self) -> Parsed<Vec<u8>> {
        let start = self.at;
        match self.rest().chars().next() {
            Some(quote @ ('"' | '\'')) => {
                self.at += 1;
                self.quoted(quote, start)
            }
            _ => match self.word() {
                "" => self.fail("a value is expected here; in quotes if it has blanks, quotes or signs in it"),
                word => Ok(word.as_bytes().to_vec()),
            },
        }
    }

    fn quoted(&mut self, quote: char, start: usize) -> Parsed<Vec<u8>> {
        let mut value = Vec::new();
        loop {
            let at = self.at;
            let Some(c) = self.rest().chars().next() else {
                return Err((start, format!("the text that begins here does not end: {quote} is missing")));
            };
            self.at += c.len_utf8();
            if c == quote {
                return Ok(value);
            }
            if c != '\\' {
                value.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                continue;
            }
            let mut next = self.rest().chars();
            let escaped = next.next();
            match escaped {
                Some('n') => value.push(b'\n'),
                Some('t') => value.push(b'\t'),
                Some('r') => value.push(b'\r'),
                Some('x') => {
                    let digits = self.rest().get(1..3).filter(|digits| digits.bytes().all(|c| c.is_ascii_hexdigit()));
                    match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
                        Some(byte) => value.push(byte),
                        None => return Err((at, "\\x takes two hexadecimal digits".to_owned())),
                    }
                    self.at += 2;
                }
                Some(c @ ('\\' | '"' | '\'')) => value.push(c as u8),
                // So that the backslashes of regular expressions need no second one.
                Some(c) => {
                    value.push(b'\\');
                    value.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                }
                None => {}
            }
            self.at += escaped.map_or(0, char::len_utf8);
        }
    }
}

fn compare(sign: &str) -> Option<Compare> {
    let all = [Compare::Is, Compare::IsNot, Compare::Less, Compare::AtMost, Compare::More, Compare::AtLeast];
    all.into_iter().find(|compare| compare.sign() == sign)
}

fn pattern(value: Vec<u8>, at: usize) -> Parsed<Pattern> {
    let Ok(text) = String::from_utf8(value) else {
        return Err((at, "a regular expression is UTF-8; bytes that are not are written (?-u:\\xNN)".to_owned()));
    };
    Regex::new(&text).map(Pattern).map_err(|error| {
        // The last line says what is wrong; those before it draw where.
        let error = error.to_string();
        let why = error.lines().last().unwrap_or_default().trim_start_matches("error: ");
        (at, format!("no regular expression: {why}"))
    })
}

fn or_parts(expr: Expr) -> Result<Vec<Expr>, Expr> {
    if let Expr::Or(parts) = expr { Ok(parts) } else { Err(expr) }
}

fn and_parts(expr: Expr) -> Result<Vec<Expr>, Expr> {
    if let Expr::And(parts) = expr { Ok(parts) } else { Err(expr) }
}

/// Parts of the same kind inside each other are one row: parentheses around them change nothing.
fn flat(parts: Vec<Expr>, inner: fn(Expr) -> Result<Vec<Expr>, Expr>) -> Vec<Expr> {
    parts.into_iter().flat_map(|part| inner(part).unwrap_or_else(|part| vec![part])).collect()
}
