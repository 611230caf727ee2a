//! The program `twoport`: it runs the command line and ends with a documented exit code.
//!
//! All that it can do is in [`cli`]; nothing of FTP is here.

mod cli;

fn main() -> std::process::ExitCode {
    cli::main(std::env::args_os())
}
