//! The supervisor's side of the cells' stdin: passes requests of the evaluating process to evcxr, and evcxr's replies back.

use crate::cell_input::Reply;
use crate::output_parser::INPUT_REQUEST;
use std::io::Write;

/// Requests for input between the evaluating process and evcxr.
pub struct InputBroker {
    replies: Box<dyn Write + Send>,
    /// The request that evcxr has not answered.
    waiting: Option<Request>,
    /// A line in evcxr's notation that announces the prompt of the next read.
    announced: Option<String>,
    /// True while a cell runs; at other times nobody could answer.
    running: bool,
}

/// A request for input.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Request {
    /// A read of stdin.
    Read,
    /// A read of stdin that was announced, as the crate `evcxr_input` does.
    Announced,
}

impl InputBroker {
    /// A broker that writes replies to the evaluating process.
    pub fn new(replies: Box<dyn Write + Send>) -> InputBroker {
        InputBroker { replies, waiting: None, announced: None, running: false }
    }

    /// Begins or ends the time in which requests are answered.
    pub fn set_running(&mut self, running: bool) {
        self.running = running;
    }

    /// Keeps a line that announces a read.
    pub fn announce(&mut self, line: String) {
        self.announced = Some(line);
    }

    /// Takes the announcement, because no read followed it: it was text.
    pub fn take_announcement(&mut self) -> Option<String> {
        self.announced.take()
    }

    /// Begins a request; returns the line that passes it to evcxr.
    pub fn begin(&mut self) -> Option<String> {
        if !self.running {
            self.announced = None;
            self.reply(&Reply::EndOfFile);
            return None;
        }
        let announced = self.announced.take();
        self.waiting = Some(if announced.is_some() { Request::Announced } else { Request::Read });
        Some(announced.unwrap_or_else(|| format!("{INPUT_REQUEST}:")))
    }

    /// Passes on evcxr's reply; returns false if the line is not one.
    pub fn finish(&mut self, line: &str) -> bool {
        let Some(request) = self.waiting.take() else { return false };
        match Reply::decode(line) {
            Reply::EndOfFile | Reply::Interrupted if request == Request::Announced => {
                self.reply(&Reply::Line(String::new()));
            }
            reply => self.reply(&reply),
        }
        true
    }

    fn reply(&mut self, reply: &Reply) {
        // Fails only if the process has ended.
        let _ = writeln!(self.replies, "{}", reply.encode());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::lock;
    use std::sync::{Arc, Mutex};

    /// The text that a broker has written.
    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            lock(&self.0).write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl Written {
        fn take(&self) -> String {
            String::from_utf8(std::mem::take(&mut lock(&self.0))).unwrap()
        }
    }

    fn broker() -> (InputBroker, Written) {
        let written = Written::default();
        (InputBroker::new(Box::new(written.clone())), written)
    }

    #[test]
    fn a_line_from_evcxr_is_a_reply_only_after_a_request() {
        let (mut broker, written) = broker();
        broker.set_running(true);
        assert!(!broker.finish("LOAD_AND_RUN x"));
        assert_eq!(broker.begin().unwrap(), "EVCXR_INPUT_REQUEST:");
        assert!(broker.finish("LLOAD_AND_RUN x") && !broker.finish("LOAD_AND_RUN x"));
        assert_eq!(written.take(), "LLOAD_AND_RUN x\n");
    }

    #[test]
    fn between_cells_a_read_finds_the_end_of_the_file() {
        let (mut broker, written) = broker();
        assert_eq!(broker.begin(), None);
        assert_eq!(written.take(), "E\n");
    }

    #[test]
    fn an_announced_read_gets_its_prompt_and_never_fails() {
        let (mut broker, written) = broker();
        broker.set_running(true);
        let prompt = "EVCXR_INPUT_REQUEST_PASSWORD:Secret: ";
        broker.announce(prompt.into());
        assert_eq!(broker.begin().unwrap(), prompt);
        assert!(broker.finish("I"));
        assert_eq!(written.take(), "L\n");
        assert_eq!(broker.take_announcement(), None);
    }
}
