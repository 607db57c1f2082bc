//! What a listing has to say beside its names. nextest keeps a listing's stderr to itself, so whoever started nextest may ask for
//! the lines in a file.

use std::path::PathBuf;

/// Lines for a person, said at once and kept for the file.
#[derive(Debug, Default)]
pub struct Notes {
    dir: Option<PathBuf>,
    lines: String,
}

impl Notes {
    /// For the files in `dir` (`KTSTR_LIST_NOTES_DIR`), or for stderr alone.
    #[must_use]
    pub fn new(dir: Option<PathBuf>) -> Self {
        Self { dir, lines: String::new() }
    }

    /// Says a line.
    pub fn say(&mut self, line: &str) {
        eprintln!("ktstr: {line}");
        self.lines.push_str(line);
        self.lines.push('\n');
    }
}

/// One file for each process: nextest lists twice at once. A file that cannot be written costs the names nothing.
impl Drop for Notes {
    fn drop(&mut self) {
        if let Some(dir) = self.dir.as_ref().filter(|_| !self.lines.is_empty()) {
            let _ = std::fs::write(dir.join(format!("{}.txt", std::process::id())), &self.lines);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_is_in_the_directory_and_silence_leaves_no_file() {
        let dir = tempfile::tempdir().unwrap();
        drop(Notes::new(Some(dir.path().to_owned())));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        let mut notes = Notes::new(Some(dir.path().to_owned()));
        notes.say("one");
        notes.say("two");
        drop(notes);
        let file = std::fs::read_dir(dir.path()).unwrap().next().unwrap().unwrap().path();
        assert_eq!(std::fs::read_to_string(file).unwrap(), "one\ntwo\n");
    }
}
