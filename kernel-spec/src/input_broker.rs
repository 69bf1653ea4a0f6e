//! The supervisor's side of the cells' stdin: passes requests of the evaluating process to evcxr, and evcxr's replies back.

use crate::cell_input::{REQUEST, Reply};
use crate::output_parser::INPUT_REQUEST;
use crate::process;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// Requests for input between the evaluating process and evcxr.
pub struct InputBroker {
    socket: UnixStream,
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
    /// A broker for the evaluating process at the other end of the socket.
    pub fn new(socket: UnixStream) -> InputBroker {
        InputBroker { socket, waiting: None, announced: None, running: false }
    }

    /// The descriptor that becomes readable at a request.
    pub fn descriptor(&self) -> RawFd {
        self.socket.as_raw_fd()
    }

    /// Begins or ends the time in which requests are answered.
    pub fn set_running(&mut self, running: bool) {
        self.running = running;
    }

    /// True if the evaluating process has requested a line since the last call.
    pub fn take_request(&mut self) -> bool {
        let mut byte = [0];
        process::wait_readable(&[self.descriptor()], Some(Duration::ZERO))
            && matches!((&self.socket).read(&mut byte), Ok(1))
            && byte[0] == REQUEST
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

    fn reply(&self, reply: &Reply) {
        // Fails only if the process has ended.
        let _ = writeln!(&self.socket, "{}", reply.encode());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader};

    fn broker() -> (InputBroker, BufReader<UnixStream>, UnixStream) {
        let (supervisor, cell) = UnixStream::pair().unwrap();
        (InputBroker::new(supervisor), BufReader::new(cell.try_clone().unwrap()), cell)
    }

    fn line(replies: &mut BufReader<UnixStream>) -> String {
        let mut line = String::new();
        replies.read_line(&mut line).unwrap();
        line
    }

    #[test]
    fn a_line_from_evcxr_is_a_reply_only_after_a_request() {
        let (mut broker, mut replies, mut cell) = broker();
        broker.set_running(true);
        assert!(!broker.take_request() && !broker.finish("LOAD_AND_RUN x"));
        cell.write_all(&[REQUEST]).unwrap();
        assert!(broker.take_request() && !broker.take_request());
        assert_eq!(broker.begin().unwrap(), "EVCXR_INPUT_REQUEST:");
        assert!(broker.finish("LLOAD_AND_RUN x") && !broker.finish("LOAD_AND_RUN x"));
        assert_eq!(line(&mut replies), "LLOAD_AND_RUN x\n");
    }

    #[test]
    fn between_cells_a_read_finds_the_end_of_the_file() {
        let (mut broker, mut replies, _cell) = broker();
        assert_eq!(broker.begin(), None);
        assert_eq!(line(&mut replies), "E\n");
    }

    #[test]
    fn an_announced_read_gets_its_prompt_and_never_fails() {
        let (mut broker, mut replies, _cell) = broker();
        broker.set_running(true);
        let prompt = "EVCXR_INPUT_REQUEST_PASSWORD:Secret: ";
        broker.announce(prompt.into());
        assert_eq!(broker.begin().unwrap(), prompt);
        assert!(broker.finish("I"));
        assert_eq!(line(&mut replies), "L\n");
        assert_eq!(broker.take_announcement(), None);
    }
}
