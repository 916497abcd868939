//! `lapwing doctor`: why nothing is captured. Looks at whatever could stand in the way, and says what to do about it.

mod environment;
mod kernel;
mod library;
mod program;
mod ring;

use crate::args::DoctorArgs;
use crate::failure::{ERROR, Failure};
use lapwing_reader_shim::{push_escaped, to_json};
use serde::Serialize;
use std::io::{self, Write as _};
use std::process::ExitCode;

pub fn doctor(args: &DoctorArgs) -> Result<ExitCode, Failure> {
    let mut report = Report::default();
    environment::look(&mut report);
    ring::look(&mut report, args);
    library::look(&mut report);
    if let Some(name) = args.command.first() {
        program::look(&mut report, name);
    }
    kernel::look(&mut report);
    let mut out = if args.json { to_json(&report) } else { report.text() };
    if args.json {
        out.push(b'\n');
    }
    let mut stdout = io::stdout();
    stdout.write_all(&out).and_then(|()| stdout.flush()).map_err(Failure::Output)?;
    Ok(ExitCode::from(if report.wrong > 0 { ERROR } else { 0 }))
}

/// How a finding is meant.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    /// As it should be.
    Ok,
    /// To be known; no reason why nothing is captured.
    Note,
    /// A reason why something is not captured.
    Wrong,
}

/// What was looked at, what was found, and what to do about it.
#[derive(Debug, Serialize)]
struct Finding {
    state: State,
    about: &'static str,
    text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    advice: Option<String>,
}

/// All findings, in the order of the JSON object.
#[derive(Debug, Default, Serialize)]
struct Report {
    wrong: usize,
    findings: Vec<Finding>,
}

impl Report {
    fn ok(&mut self, about: &'static str, text: impl Into<String>) {
        self.push(State::Ok, about, text.into(), None);
    }

    fn note(&mut self, about: &'static str, text: impl Into<String>) {
        self.push(State::Note, about, text.into(), None);
    }

    fn wrong(&mut self, about: &'static str, text: impl Into<String>, advice: impl Into<String>) {
        self.push(State::Wrong, about, text.into(), Some(advice.into()));
    }

    /// As `wrong`, where the text says already what to do.
    fn error(&mut self, about: &'static str, error: impl ToString) {
        self.push(State::Wrong, about, error.to_string(), None);
    }

    fn push(&mut self, state: State, about: &'static str, text: String, advice: Option<String>) {
        self.wrong += usize::from(state == State::Wrong);
        // Paths and names come from others.
        let shown = |text: String| {
            let mut out = Vec::new();
            push_escaped(&mut out, text.as_bytes());
            String::from_utf8_lossy(&out).into_owned()
        };
        self.findings.push(Finding { state, about, text: shown(text), advice: advice.map(shown) });
    }

    /// A line for each finding.
    fn text(&self) -> Vec<u8> {
        let mut out = String::new();
        for Finding { state, about, text, advice } in &self.findings {
            let state = match state {
                State::Ok => "ok",
                State::Note => "note",
                State::Wrong => "WRONG",
            };
            let advice = advice.as_ref().map_or(String::new(), |advice| format!("; {advice}"));
            out += &format!("{state:5} {about}: {text}{advice}\n");
        }
        match self.wrong {
            0 => out += "nothing is wrong\n",
            1 => out += "1 thing is wrong\n",
            wrong => out += &format!("{wrong} things are wrong\n"),
        }
        out.into_bytes()
    }
}
