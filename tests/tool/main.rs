//! Tests of the command line tool: each option of the page `docs/tool.md` has a test of its name, in the module of its command.
//!
//! `tests/tool/terminal` tests the tool in a terminal.

mod bench;
mod connect;
mod exits;
mod listen;
mod output;
mod page;
mod support;
mod tls;
