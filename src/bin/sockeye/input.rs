//! The thread that reads the input: lines of a terminal, or messages of a pipe.

use std::io::{self, BufRead, IsTerminal};
use std::sync::Arc;
use std::thread;

use sockeye::Message;

use crate::commands::Command;
use crate::console::{Console, Line};
use crate::exit::Failure;
use crate::interrupt;
use crate::options::Records;
use crate::output::Output;
use crate::target::{Ended, Target};

/// The size of a message if each read is one.
const CHUNK: usize = 64 * 1024;

/// What is read, and how it is divided into messages.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Source {
    pub(crate) records: Records,
    pub(crate) is_binary: bool,
    pub(crate) executes_commands: bool,
}

/// Whether lines are edited in a terminal.
pub(crate) fn is_interactive() -> bool {
    io::stdin().is_terminal() && io::stdout().is_terminal()
}

/// Starts the thread. With a console, it edits lines, and otherwise it reads the standard input.
pub(crate) fn start(console: Option<Console>, source: Source, output: Output, target: Arc<dyn Target>) {
    thread::spawn(move || {
        let ended = match console {
            Some(console) => edit(console, &output, target.as_ref()),
            None => read(&mut io::stdin().lock(), source, &output, target.as_ref()),
        };
        // Without a connection, the program is about to end anyway.
        if ended == Ok(()) {
            target.input_ended();
        }
    });
}

/// Executes the lines of a terminal until one of them ends the connection.
fn edit(mut console: Console, output: &Output, target: &dyn Target) -> Result<(), Ended> {
    loop {
        match console.read() {
            Line::Text(line) => {
                if execute(&line, output, target)? {
                    return Err(Ended);
                }
            }
            Line::End => {
                target.quit();
                return Err(Ended);
            }
            Line::Interrupt => {
                // The signal of the next Ctrl-C ends the program, because the terminal is not in raw mode any more.
                drop(console);
                interrupt::trigger();
                return Err(Ended);
            }
            Line::Failed(why) => {
                target.input_failed(Failure::failed(format!("cannot read the terminal: {why}")));
                return Err(Ended);
            }
        }
    }
}

/// Executes a line: sends it, or does what the command says. Returns whether no further input is needed.
pub(crate) fn execute(line: &str, output: &Output, target: &dyn Target) -> Result<bool, Ended> {
    match Command::parse(line) {
        Ok(Command::Send(message)) => target.send(message)?,
        Ok(Command::SendTo(client, message)) => {
            if let Err(why) = target.send_to(client, message) {
                output.notice(&why);
            }
        }
        Ok(Command::Ping(payload)) => target.ping(payload)?,
        Ok(Command::Pong(payload)) => target.pong(payload)?,
        Ok(Command::Close(code, reason)) => return Ok(target.close(code, &reason)),
        Ok(Command::Quit) => {
            target.quit();
            return Ok(true);
        }
        Ok(Command::Clients) => target.clients().iter().for_each(|line| output.notice(line)),
        Ok(Command::Help) => output.notice(&target.help()),
        Err(why) => output.notice(&why),
    }
    Ok(false)
}

/// Sends the messages of a pipe or file until it ends.
fn read(input: &mut dyn BufRead, source: Source, output: &Output, target: &dyn Target) -> Result<(), Ended> {
    let mut number = 0;
    loop {
        let record = match next(input, source.records) {
            Ok(Some(record)) => record,
            Ok(None) => return Ok(()),
            Err(err) => return fail(target, format!("cannot read the standard input: {err}")),
        };
        number += 1;
        if source.is_binary {
            target.send(Message::binary(record))?;
        } else {
            let Ok(text) = String::from_utf8(record) else {
                return fail(
                    target,
                    format!("message {number} of the input is not UTF-8; --binary sends any bytes"),
                );
            };
            if source.executes_commands {
                if execute(&text, output, target)? {
                    return Err(Ended);
                }
            } else {
                target.send(Message::text(text))?;
            }
        }
        if source.records == Records::Whole {
            return Ok(());
        }
    }
}

fn fail(target: &dyn Target, why: String) -> Result<(), Ended> {
    target.input_failed(Failure::failed(why));
    Err(Ended)
}

/// Reads the next message. `None` at the end of the input.
fn next(input: &mut dyn BufRead, records: Records) -> io::Result<Option<Vec<u8>>> {
    let mut record = Vec::new();
    match records {
        Records::Lines => {
            if input.read_until(b'\n', &mut record)? == 0 {
                return Ok(None);
            }
            if record.last() == Some(&b'\n') {
                record.pop();
                if record.last() == Some(&b'\r') {
                    record.pop();
                }
            }
        }
        Records::Null => {
            if input.read_until(0, &mut record)? == 0 {
                return Ok(None);
            }
            if record.last() == Some(&0) {
                record.pop();
            }
        }
        Records::Whole => {
            input.read_to_end(&mut record)?;
        }
        Records::Chunks => {
            let available = input.fill_buf()?;
            let length = available.len().min(CHUNK);
            if length == 0 {
                return Ok(None);
            }
            record.extend_from_slice(&available[..length]);
            input.consume(length);
        }
    }
    Ok(Some(record))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(mut input: &[u8], records: Records) -> Vec<Vec<u8>> {
        let mut found = Vec::new();
        while let Some(record) = next(&mut input, records).unwrap() {
            found.push(record);
            if records == Records::Whole {
                break;
            }
        }
        found
    }

    #[test]
    fn lines_end_with_a_line_break_or_the_input() {
        assert_eq!(all(b"one\ntwo\r\n\nlast", Records::Lines), [&b"one"[..], b"two", b"", b"last"]);
        assert_eq!(all(b"", Records::Lines), [] as [Vec<u8>; 0]);
        // A carriage return alone belongs to the message.
        assert_eq!(all(b"a\rb\r", Records::Lines), [b"a\rb\r"]);
    }

    #[test]
    fn zero_bytes_separate_messages_that_contain_line_breaks() {
        assert_eq!(all(b"one\ntwo\0three\0", Records::Null), [&b"one\ntwo"[..], b"three"]);
    }

    #[test]
    fn the_whole_input_is_one_message_even_if_it_is_empty() {
        assert_eq!(all(b"one\ntwo\n", Records::Whole), [b"one\ntwo\n"]);
        assert_eq!(all(b"", Records::Whole), [b""]);
    }

    #[test]
    fn chunks_are_limited() {
        let input = vec![7; CHUNK + 1];
        let lengths: Vec<usize> = all(&input, Records::Chunks).iter().map(Vec::len).collect();
        assert_eq!(lengths, [CHUNK, 1]);
    }
}
