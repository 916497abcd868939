//! The language of `tail -q`: what expressions mean, that any text is one or is said not to be with the place, and that an
//! expression that is printed reads back as itself.

use lapwing_reader_shim::{Follow, Item, Query};
use lapwing_ring::{Create, Draft, Field, Level, Log, Reader, Source, Value};
use proptest::prelude::*;
use regex::bytes::Regex;

/// What a record is made of, as far as expressions can ask for it.
#[derive(Clone, Debug)]
struct Model {
    level: Level,
    source: Source,
    text: Vec<u8>,
    tags: Vec<Vec<u8>>,
    fields: Vec<(&'static str, Owned)>,
}

#[derive(Clone, Debug)]
enum Owned {
    Text(Vec<u8>),
    Int(i64),
    Uint(u64),
    Float(f64),
    Bool(bool),
}

impl Owned {
    fn value(&self) -> Value<'_> {
        match self {
            Self::Text(text) => Value::Text(text),
            Self::Int(n) => Value::Int(*n),
            Self::Uint(n) => Value::Uint(*n),
            Self::Float(n) => Value::Float(*n),
            Self::Bool(b) => Value::Bool(*b),
        }
    }
}

const NOTHING: Model =
    Model { level: Level::INFO, source: Source::Api, text: Vec::new(), tags: Vec::new(), fields: Vec::new() };

/// Which of `queries` hold for each of `models`, once they are records of a real ring.
fn holds(models: &[Model], queries: &[Query]) -> Vec<Vec<bool>> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ring");
    Create::new().size(1 << 20).create(&path).unwrap();
    let log = Log::open(&path).unwrap();
    for model in models {
        let tags = model.tags.iter().map(|tag| Field::Tag(tag));
        let fields = model.fields.iter().map(|(key, value)| Field::KeyValue(key.as_bytes(), value.value()));
        let fields: Vec<Field<'_>> = tags.chain(fields).collect();
        let draft = Draft { fields: &fields, source: model.source, ..Draft::new(model.level) };
        log.append_slices(&draft, &[&model.text]).unwrap();
    }
    let mut follow = Follow::new(Reader::open(&path).unwrap());
    let mut found = Vec::new();
    for _ in models {
        let step = follow.step(|item| {
            let Item::Record(record, who) = item else { panic!("{item:?}") };
            found.push(queries.iter().map(|query| query.holds(&record, &who)).collect());
            Ok(())
        });
        step.unwrap();
    }
    found
}

#[test]
fn expressions_mean_what_they_say() {
    let record = Model {
        level: Level::WARN,
        source: Source::Stderr,
        text: b"time out after 3 s".to_vec(),
        tags: vec![b"db".to_vec()],
        fields: vec![
            ("path", Owned::Text(b"/tmp/a \"b\"".to_vec())),
            ("n", Owned::Int(-5)),
            ("big", Owned::Uint(u64::MAX)),
            ("load", Owned::Float(0.5)),
            ("ok", Owned::Bool(true)),
            ("ERRNO", Owned::Text(b"13".to_vec())),
            ("pid", Owned::Text(b"inner".to_vec())),
            ("two", Owned::Int(1)),
            ("two", Owned::Int(2)),
        ],
    };
    let pid = std::process::id();
    let cases = [
        ("level>=warn", true),
        ("level=warn", true),
        ("level!=13", false),
        ("level<warn or level>warn", false),
        ("level<=warn2 and level>=info", true),
        ("src=stderr", true),
        ("src!=stderr", false),
        ("tag=db", true),
        ("tag!=db", false),
        ("tag~\"^d\" and tag!~x", true),
        ("text~\"time ?out\"", true),
        ("text ~ 'AFTER \\d'", false),
        ("text ~ '(?i)AFTER \\d'", true),
        ("text=\"time out after 3 s\"", true),
        ("comm~\"^query-\"", true),
        ("comm=nginx or tag=db", true),
        ("not comm=nginx", true),
        ("path=\"/tmp/a \\\"b\\\"\"", true),
        ("path='/tmp/a \"b\"'", true),
        ("path~tmp", true),
        ("n=-5", true),
        ("n<0 and n>-6 and n>=-5.5", true),
        ("big=18446744073709551615", true),
        ("big>18446744073709551614", true),
        ("load=0.5 and load>0 and load<1", true),
        ("ok=true", true),
        ("ok=false", false),
        ("ok>0", false),
        ("ERRNO=13 and ERRNO>2 and ERRNO<100", true),
        ("ERRNO=013", false),
        ("field.pid=inner", true),
        ("two=1 and two=2", true),
        ("two!=1", false),
        ("two>1 and two<2", true),
        ("missing=1 or missing<1 or missing>=1 or missing~x", false),
        ("missing!=1 and missing!~x and not missing=1", true),
        ("n~5", false),
        // `and` binds more tightly than `or`, `not` more tightly than both.
        ("level=warn or level=err and tag=nobody", true),
        ("(level=warn or level=err) and tag=nobody", false),
        ("not tag=nobody and level=warn", true),
        ("not (tag=db and level=warn)", false),
        ("not not tag=db", true),
        ("(((tag=db)))", true),
    ];
    let queries: Vec<Query> = cases.iter().map(|(text, _)| text.parse().unwrap_or_else(|e| panic!("{e}"))).collect();
    let found = holds(&[record], &queries);
    for ((text, expected), found) in cases.iter().zip(&found[0]) {
        assert_eq!(found, expected, "{text}");
    }
    let of_process =
        [format!("pid={pid}"), format!("pid<{pid}"), "uid>=0".to_owned(), "tid>0 and tid<4194305".to_owned()];
    let queries: Vec<Query> = of_process.iter().map(|text| text.parse().unwrap()).collect();
    assert_eq!(holds(&[NOTHING], &queries)[0], [true, false, true, true]);
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    for (text, at, why) in [
        ("", 0, "the name of a field is expected here"),
        ("  ", 2, "the name of a field is expected here"),
        ("level", 5, "one of = != < <= > >= ~ !~ is expected here"),
        ("level>=", 7, "a value is expected here"),
        ("level>=loud", 7, "\"loud\" is no level; levels are trace"),
        ("level~warn", 5, "levels are compared by"),
        ("pid=x", 4, "pid is a number"),
        ("pid=-1", 4, "pid is a number"),
        ("pid~1", 3, "numbers are compared by"),
        ("src=tty", 4, "no such source; sources are api, stdout"),
        ("tag<x", 3, "texts are compared by"),
        ("n<x", 2, "< compares with a number"),
        ("text~\"(\"", 5, "no regular expression: unclosed group"),
        ("text~\"a", 5, "the text that begins here does not end"),
        ("text~\"a\\", 5, "the text that begins here does not end"),
        ("text=\"\\xg0\"", 6, "\\x takes two hexadecimal digits"),
        ("tag=a tag=b", 6, "`and`, `or` or the end is expected here"),
        ("tag=a and", 9, "the name of a field is expected here"),
        ("tag=a and or", 10, "the name of a field is expected here"),
        ("(tag=a", 6, "`)` is missing for the parenthesis in column 1"),
        ("tag=a)", 5, "no parenthesis is open here"),
        ("field.=1", 0, "the name of the field is missing"),
        ("tag==a", 4, "a value is expected here"),
    ] {
        let error = text.parse::<Query>().unwrap_err();
        assert!(error.at() == at && error.to_string().starts_with(why), "{text}: {} {error}", error.at());
    }
    let error = "tag=é and (level>=laut)".parse::<Query>().unwrap_err().to_string();
    let lines: Vec<&str> = error.lines().collect();
    assert_eq!(lines[1..], ["    tag=é and (level>=laut)", "                      ^"], "the caret counts characters");
    let deep = format!("{}tag=a{}", "(".repeat(100_000), ")".repeat(100_000));
    assert!(deep.parse::<Query>().unwrap_err().to_string().starts_with("more than 64"));
    assert!("not ".repeat(100_000).parse::<Query>().is_err());
    let long = vec!["tag=a"; 50_000].join(" or ");
    assert!(long.parse::<Query>().is_ok(), "a long row is not deep");
}

/// An expression in a second form, which knows how to write itself in many ways and is evaluated as it stands.
#[derive(Clone, Debug)]
enum Tree {
    Or(Box<Tree>, Box<Tree>),
    And(Box<Tree>, Box<Tree>),
    Not(Box<Tree>),
    Test(Key, usize, String),
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Key {
    Level,
    Src,
    Text,
    Tag,
    Field(&'static str),
}

const SIGNS: [&str; 8] = ["=", "!=", "<", "<=", ">", ">=", "~", "!~"];

impl Tree {
    /// Every pair in parentheses, so that precedence is not what is asked here.
    fn write(&self) -> String {
        match self {
            Self::Or(a, b) => format!("({} or {})", a.write(), b.write()),
            Self::And(a, b) => format!("( {} and {})", a.write(), b.write()),
            Self::Not(a) => format!("not {}", a.write()),
            Self::Test(key, sign, value) => {
                let key = match key {
                    Key::Level => "level",
                    Key::Src => "src",
                    Key::Text => "text",
                    Key::Tag => "tag",
                    Key::Field(name) => name,
                };
                format!("{key} {} '{value}'", SIGNS[*sign])
            }
        }
    }

    fn holds(&self, model: &Model) -> bool {
        match self {
            Self::Or(a, b) => a.holds(model) | b.holds(model),
            Self::And(a, b) => a.holds(model) & b.holds(model),
            Self::Not(a) => !a.holds(model),
            Self::Test(key, sign, value) => test(model, *key, SIGNS[*sign], value),
        }
    }
}

/// One comparison, the slow way: every value as text and as a number.
fn test(model: &Model, key: Key, sign: &str, wanted: &str) -> bool {
    if let Some(positive) = sign.strip_prefix('!') {
        return !test(model, key, positive, wanted);
    }
    let number = |text: &[u8]| std::str::from_utf8(text).ok()?.parse::<f64>().ok();
    let values: Vec<(Vec<u8>, Option<f64>)> = match key {
        Key::Level => vec![(Vec::new(), Some(f64::from(model.level.number())))],
        Key::Src => vec![(model.source.name().into(), None)],
        Key::Text => vec![(model.text.clone(), None)],
        Key::Tag => model.tags.iter().map(|tag| (tag.clone(), None)).collect(),
        Key::Field(name) => {
            let named = model.fields.iter().filter(|(key, _)| *key == name);
            let both = |value: &Owned| match value {
                Owned::Text(text) => (text.clone(), if "=~".contains(sign) { None } else { number(text) }),
                Owned::Int(n) => (Vec::new(), Some(*n as f64)),
                Owned::Uint(n) => (Vec::new(), Some(*n as f64)),
                Owned::Float(n) => (Vec::new(), Some(*n)),
                Owned::Bool(b) => (b.to_string().into_bytes(), None),
            };
            let mut all: Vec<(Vec<u8>, Option<f64>)> = named.map(|(_, value)| both(value)).collect();
            if sign == "~" {
                // What is no text matches nothing.
                let texts = model.fields.iter().filter(|(key, value)| *key == name && matches!(value, Owned::Text(_)));
                all = texts.map(|(_, value)| both(value)).collect();
            }
            all
        }
    };
    let wanted_number = match key {
        Key::Level => Some(f64::from(wanted.parse::<Level>().unwrap().number())),
        _ => wanted.parse().ok(),
    };
    values.iter().any(|(text, number)| {
        let order = number.zip(wanted_number).and_then(|(a, b)| a.partial_cmp(&b));
        match sign {
            "~" => Regex::new(wanted).unwrap().is_match(text),
            "=" => order.map_or(number.is_none() && text == wanted.as_bytes(), |order| order.is_eq()),
            "<" => order.is_some_and(|order| order.is_lt()),
            "<=" => order.is_some_and(|order| order.is_le()),
            ">" => order.is_some_and(|order| order.is_gt()),
            _ => order.is_some_and(|order| order.is_ge()),
        }
    })
}

fn any_test() -> impl Strategy<Value = Tree> {
    let level = (prop::sample::select(vec!["trace", "info", "info3", "warn", "err", "emerg", "9"]), 0..6usize)
        .prop_map(|(value, sign)| Tree::Test(Key::Level, sign, value.to_owned()));
    let source = (prop::sample::select(vec!["api", "stdout", "log"]), 0..2usize)
        .prop_map(|(value, sign)| Tree::Test(Key::Src, sign, value.to_owned()));
    let text = (prop::sample::select(vec![Key::Text, Key::Tag]), prop::sample::select(vec![0, 1, 6, 7]), "[abx]{0,2}")
        .prop_map(|(key, sign, value)| Tree::Test(key, sign, value));
    let names = prop::sample::select(vec!["k", "n", "missing"]);
    let field = (names, 0..8usize, prop::sample::select(vec!["0", "1", "-1", "2.5", "7"]))
        .prop_map(|(name, sign, value)| Tree::Test(Key::Field(name), sign, value.to_owned()));
    prop_oneof![level, source, text, field]
}

fn any_tree() -> impl Strategy<Value = Tree> {
    any_test().prop_recursive(5, 24, 2, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| Tree::Or(a.into(), b.into())),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| Tree::And(a.into(), b.into())),
            inner.prop_map(|a| Tree::Not(a.into())),
        ]
    })
}

fn any_model() -> impl Strategy<Value = Model> {
    let value = prop_oneof![
        prop::sample::select(vec!["1", "-1", "2.5", "abc", ""]).prop_map(|text| Owned::Text(text.into())),
        (-2..3i64).prop_map(Owned::Int),
        (0..3u64).prop_map(Owned::Uint),
        prop::sample::select(vec![0.0, 1.0, 2.5]).prop_map(Owned::Float),
        any::<bool>().prop_map(Owned::Bool),
    ];
    let fields = prop::collection::vec((prop::sample::select(vec!["k", "n", "other"]), value), 0..3);
    let tags = prop::collection::vec("[abx]{0,2}".prop_map(String::into_bytes), 0..2);
    let sources = prop::sample::select(vec![Source::Api, Source::Stdout, Source::Log]);
    ((1..25u8), sources, "[abx ]{0,4}", tags, fields).prop_map(|(level, source, text, tags, fields)| Model {
        level: Level::new(level).unwrap(),
        source,
        text: text.into_bytes(),
        tags,
        fields,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn an_expression_holds_where_the_naive_evaluator_says_so(
        trees in prop::collection::vec(any_tree(), 16),
        models in prop::collection::vec(any_model(), 16),
    ) {
        let queries: Vec<Query> = trees.iter().map(|tree| tree.write().parse().unwrap()).collect();
        for (model, found) in models.iter().zip(holds(&models, &queries)) {
            for (tree, found) in trees.iter().zip(found) {
                prop_assert_eq!(found, tree.holds(model), "{} of {:?}", tree.write(), model);
            }
        }
    }
}

fn reads_back(text: &str) {
    let Ok(query) = text.parse::<Query>() else { return };
    let printed = query.to_string();
    assert_eq!(printed.parse::<Query>().as_ref(), Ok(&query), "{text} was printed as {printed}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_text_makes_the_parser_panic_and_what_it_takes_it_prints(text: String) {
        reads_back(&text);
    }

    #[test]
    fn nor_does_a_text_of_the_words_of_the_language(
        words in prop::collection::vec(
            prop::sample::select(vec![
                "and", "or", "not", "(", ")", "level", "pid", "tag", "comm", "src", "text", "n", "field.", "field.tag", "=", "!=",
                "<", "<=", ">", ">=", "~", "!~", "warn", "7", "-1.5", "1e3", "stdout", "\"", "'", "\\", "\\x", "\\x41", "\\d", "é",
                "a", " ", "\t", "\n", "\"b c\"", "'\\\\'", "tag=x", "n=1",
            ]),
            0..12,
        ),
    ) {
        reads_back(&words.concat());
        reads_back(&words.join(" "));
    }

    #[test]
    fn expressions_read_back_as_themselves(tree in any_tree()) {
        let text = tree.write();
        prop_assert!(text.parse::<Query>().is_ok(), "{}", text);
        reads_back(&text);
        // Without the parentheses it is another expression, and reads back as well.
        reads_back(&text.replace(['(', ')'], ""));
    }

    #[test]
    fn any_bytes_of_a_value_read_back(value: Vec<u8>) {
        let hex: String = value.iter().map(|byte| format!("\\x{byte:02x}")).collect();
        let text = format!("tag=\"{hex}\" or k!='{hex}'");
        prop_assert!(text.parse::<Query>().is_ok());
        reads_back(&text);
    }
}
