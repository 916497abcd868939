//! What is moved to standard output without write(2), by C programs and by real ones: it is in the ring, and the calls give
//! what they give without us.

#[path = "reach/stage.rs"]
mod stage;

use lapwing_ring::{Source, Writer};
use stage::{Out, Stage, have, lines, program};

const OUTS: [Out; 3] = [Out::Pipe, Out::File, Out::Socket];

#[test]
fn calls_give_what_they_give_without_us_and_what_they_move_is_in_the_ring() {
    let program = program("moves");
    for what in ["pieces", "sends", "files", "ranges", "pipes"] {
        for out in OUTS {
            let stage = Stage::new();
            let command = [program.as_str(), what];
            let plain = stage.run(out, stage.command(None, &command));
            let captured = stage.run(out, stage.command(Some(&[]), &command));
            assert!(plain.status.success() && captured.status.success(), "{what}, {out:?}: {captured:?}");
            assert_eq!(captured.err, plain.err, "{what}, {out:?}");
            assert!(captured.out == plain.out, "{what}, {out:?}: another output");
            if (what, out) == ("pieces", Out::File) {
                // What is written over is in the ring as well.
                assert_eq!(stage.texts(Source::Stdout), ["pwrite", "pieces", "pieces", "pieces"]);
            } else {
                assert!(stage.texts(Source::Stdout) == lines(&plain.out), "{what}, {out:?}: other records");
            }

            let quiet = Stage::new();
            let done = quiet.run(out, quiet.command(Some(&["--quiet"]), &command));
            assert_eq!((done.err.as_str(), done.out.as_str()), ("", ""), "{what}, {out:?}, quiet");
            assert_eq!(quiet.texts(Source::Stderr), lines(&plain.err), "{what}, {out:?}, quiet");
            assert!(quiet.texts(Source::Stdout) == stage.texts(Source::Stdout), "{what}, {out:?}: other records");
        }
    }
}

#[test]
fn what_a_quiet_program_moves_and_the_ring_refuses_comes_out_once() {
    let program = program("moves");
    for (what, out) in [("pieces", Out::Pipe), ("sends", Out::Socket), ("files", Out::File), ("pipes", Out::Pipe)] {
        let stage = Stage::with_ring(64 << 10);
        // They hold every slot.
        let writers: Vec<_> = std::iter::from_fn(|| Writer::open(&stage.path("ring")).ok()).collect();
        let plain = stage.run(out, stage.command(None, &[&program, what]));
        let quiet = stage.run(out, stage.command(Some(&["--quiet"]), &[&program, what]));
        assert_eq!((quiet.out, quiet.err), (plain.out, plain.err), "{what}, {out:?}");
        drop(writers);
    }
}

#[test]
fn real_programs_that_let_the_kernel_copy_are_captured() {
    let long: String = (0..6_000).map(|i| format!("line {i} of a file\n")).collect();
    let sendfile = "import os; fd = os.open('file', os.O_RDONLY)\nwhile os.sendfile(1, fd, None, 1 << 20): pass";
    let splice = "import os; r, w = os.pipe(); os.write(w, b'spliced\\nlines\\n'); os.splice(r, 1, 100)";
    let range = "import os; fd = os.open('file', os.O_RDONLY)\nwhile os.copy_file_range(fd, 1, 1 << 20): pass";
    let copy = "import shutil, sys; shutil.copyfileobj(open('file', 'rb'), sys.stdout.buffer)";
    let cases: [(&[&str], &[Out]); 6] = [
        (&["cat", "file"], &OUTS),
        // A socket has no name that can be opened.
        (&["cp", "file", "/dev/stdout"], &[Out::Pipe]),
        (&["python3", "-c", sendfile], &OUTS),
        (&["python3", "-c", splice], &OUTS),
        (&["python3", "-c", range], &[Out::File]),
        (&["python3", "-c", copy], &OUTS),
    ];
    for (command, outs) in cases.into_iter().filter(|(command, _)| have(command[0])) {
        for &out in outs {
            let stage = Stage::new();
            std::fs::write(stage.path("file"), &long).unwrap();
            let plain = stage.run(out, stage.command(None, command));
            assert!(plain.status.success() && !plain.out.is_empty(), "{command:?}, {out:?}: {}", plain.err);
            let captured = stage.run(out, stage.command(Some(&[]), command));
            assert!(captured.out == plain.out, "{command:?}, {out:?}: another output: {}", captured.err);
            assert!(stage.texts(Source::Stdout) == lines(&plain.out), "{command:?}, {out:?}: other records");

            let quiet = Stage::new();
            std::fs::write(quiet.path("file"), &long).unwrap();
            let done = quiet.run(out, quiet.command(Some(&["--quiet"]), command));
            assert!(done.out.is_empty(), "{command:?}, {out:?}: {} bytes around the ring", done.out.len());
            assert!(quiet.texts(Source::Stdout) == lines(&plain.out), "{command:?}, {out:?}, quiet: other records");
        }
    }
}
