//! Man pages and shell completions: complete, and such that those who read them understand them.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

fn lapwing(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_lapwing")).args(args).output().unwrap()
}

fn text(output: Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn is_here(program: &str) -> bool {
    let found = Command::new("sh").args(["-c", &format!("command -v {program}")]).output().unwrap().status.success();
    if !found {
        eprintln!("SKIPPED: {program} is missing");
    }
    found
}

/// The commands that `lapwing --help` lists.
fn commands() -> Vec<String> {
    let help = text(lapwing(&["--help"]));
    let list = help.split("Commands:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    let names = list.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    names.map(|line| line.split_whitespace().next().unwrap().to_owned()).filter(|name| name != "help").collect()
}

#[test]
fn every_command_has_a_page_that_says_all_its_options_and_examples() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().to_str().unwrap();
    text(lapwing(&["pages", "--man", at]));
    let commands = commands();
    assert!(commands.len() > 8, "{commands:?}");
    let mut pages: Vec<_> =
        fs::read_dir(at).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    pages.sort();
    let mut expected: Vec<_> = commands.iter().map(|name| format!("lapwing-{name}.1")).collect();
    expected.push("lapwing.1".to_owned());
    expected.sort();
    assert_eq!(pages, expected);

    if !is_here("mandoc") {
        return;
    }
    for page in &pages {
        let path = Path::new(at).join(page);
        let lint = Command::new("mandoc").args(["-T", "lint", "-W", "error"]).arg(&path).output().unwrap();
        assert!(lint.status.success(), "{}", String::from_utf8_lossy(&lint.stdout));
        let shown = Command::new("mandoc").args(["-T", "utf8", "-O", "width=100"]).arg(&path).output().unwrap();
        let shown = String::from_utf8(shown.stdout).unwrap();
        let mut plain = String::new();
        // A letter printed over itself is a bold one.
        for letter in shown.chars() {
            match letter {
                '\u{8}' => plain.truncate(plain.len() - plain.chars().next_back().map_or(0, char::len_utf8)),
                letter => plain.push(letter),
            }
        }
        let name = page.trim_end_matches(".1").trim_start_matches("lapwing").trim_start_matches('-');
        let words: Vec<&str> = if name.is_empty() { vec!["--help"] } else { vec![name, "--help"] };
        for option in text(lapwing(&words)).split_whitespace().filter(|word| word.starts_with("--") && word.len() > 2) {
            let option: String = option.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '-').collect();
            assert!(plain.contains(&option), "{page} lacks {option}");
        }
        for section in ["NAME", "SYNOPSIS", "SEE ALSO"] {
            assert!(plain.contains(&format!("\n{section}\n")), "{page} lacks {section}");
        }
    }
    let tail = fs::read_to_string(Path::new(at).join("lapwing-tail.1")).unwrap();
    assert!(tail.contains(".SH EXAMPLES") && tail.contains("lapwing tail"), "{tail}");
    let all = fs::read_to_string(Path::new(at).join("lapwing.1")).unwrap();
    assert!(all.contains(r#".SH "EXIT STATUS""#) && all.contains(".SH ENVIRONMENT"), "{all}");
}

#[test]
fn shells_complete_commands_and_options() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    text(lapwing(&["pages", "--completions", at.to_str().unwrap()]));
    let bash = "source \"$1/lapwing.bash\"; COMP_WORDS=(lapwing \"$2\" \"$3\"); COMP_CWORD=$4; \
                _lapwing lapwing \"${COMP_WORDS[COMP_CWORD]}\" \"${COMP_WORDS[COMP_CWORD - 1]}\"; echo \"${COMPREPLY[@]}\"";
    let complete = |words: [&str; 2], at_word: &str| {
        text(
            Command::new("bash")
                .args(["-c", bash, "-", at.to_str().unwrap(), words[0], words[1], at_word])
                .output()
                .unwrap(),
        )
    };
    assert_eq!(complete(["ta", ""], "1").trim(), "tail");
    assert!(complete(["tail", "--from"], "2").contains("--from-seq"));
    for (shell, file, check) in [("zsh", "_lapwing", "-n"), ("fish", "lapwing.fish", "-n")] {
        if is_here(shell) {
            let checked = Command::new(shell).arg(check).arg(at.join(file)).output().unwrap();
            assert!(checked.status.success() && checked.stderr.is_empty(), "{checked:?}");
        }
    }
    if is_here("fish") {
        let line = format!("source {}/lapwing.fish; complete -C 'lapwing ta'", at.display());
        let completed = text(Command::new("fish").args(["-c", &line]).output().unwrap());
        assert!(completed.starts_with("tail\t"), "{completed:?}");
    }
}
