//! The command line: its commands, and the way from words to an exit code.
//!
//! Parsing makes no system call; what a command does is in the file of its name. Data goes to
//! standard output, talk to standard error.

mod account;
mod check;
mod client;
mod exit;
mod flags;
mod gateway;
mod get;
mod lab;
mod log;
mod ls;
mod man;
mod manual;
mod meter;
mod network;
mod output;
mod proxy;
mod put;
mod reach;
mod results;
mod serve;
mod source;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::builder::OsStringValueParser;
use clap::error::ErrorKind;
use clap::{Arg, ArgAction, ArgMatches, Command, ValueHint};

use exit::Exit;
pub(crate) use output::Failure;

/// What a command gives back.
type Outcome = Result<Exit, Failure>;

/// Runs a command line and turns its end into what the shell sees.
pub(crate) fn main(line: impl IntoIterator<Item = OsString>) -> ExitCode {
    let outcome = match command().try_get_matches_from(line) {
        Ok(matches) => run(&matches),
        Err(error) => misused(&error),
    };
    let exit = outcome.unwrap_or_else(|failure| {
        failure.tell();
        failure.exit
    });
    ExitCode::from(exit.code())
}

fn run(matches: &ArgMatches) -> Outcome {
    match matches.subcommand() {
        Some(("serve", matches)) => serve::run(matches),
        Some(("gateway", matches)) => gateway::run(matches),
        Some(("get", matches)) => get::run(matches),
        Some(("put", matches)) => put::run(matches),
        Some(("ls", matches)) => ls::run(matches),
        Some(("network", matches)) => network::run(matches),
        Some(("check", matches)) => check::run(matches),
        Some(("lab", matches)) => lab::run(matches),
        Some(("account", matches)) => account::run(matches),
        Some(("completions", matches)) => man::completions(matches),
        Some(("man", matches)) => man::run(matches),
        _ => Err(Failure::usage("no such command; `twoport --help` lists them")),
    }
}

/// Help and version are answers on standard output; all else is a mistake.
fn misused(error: &clap::Error) -> Outcome {
    let text = error.render().to_string();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => output::data(&text),
        _ => Err(Failure::usage(text.trim_start_matches("error: ").trim_end())),
    }
}

/// The whole command line, as parser, help, manual and completions see it.
pub(crate) fn command() -> Command {
    Command::new("twoport")
        .version(env!("CARGO_PKG_VERSION"))
        .about("An FTP that says why: a server and a client in one program")
        .after_help(
            "`twoport COMMAND --help` tells all about a command; exit codes are in twoport(1).",
        )
        .max_term_width(100)
        .subcommand_required(true)
        .arg_required_else_help(true)
        .disable_help_subcommand(true)
        .subcommands([
            serve(),
            gateway(),
            get(),
            put(),
            ls(),
            network(),
            check(),
            account(),
            lab::command(),
            completions(),
            man(),
        ])
}

fn serve() -> Command {
    let command = Command::new("serve")
        .about("Serve a directory over FTP")
        .long_about(
            "Serve a directory over FTP, in the foreground, until SIGTERM or Ctrl-C.\n\n\
             With nothing but DIR it makes one account with a random password for this run, and \
             prints the URLs under which DIR can be reached, password included. A line with `ready` \
             on standard error says that connections are accepted. SIGHUP reads the configuration \
             again.",
        )
        .arg(path("DIR").help("The directory to serve; may come from the configuration"));
    flags::with_settings(flags::with_flags(command, "serve"))
}

fn gateway() -> Command {
    let command = Command::new("gateway")
        .about("Stand between FTP clients and servers: relay, translate addresses, bridge TLS")
        .long_about(
            "Stand between FTP clients and servers, in the foreground, until SIGTERM or Ctrl-C: in front \
             of servers as a reverse proxy, or on the router of clients or servers. Control connections are relayed; the addresses in PORT, EPRT and in the answers to \
             PASV and EPSV are replaced by the gateway's own, and each opens for one connection of the \
             right peer. With --certificate TLS ends here, and begins again towards the server where the \
             server has it. A line with `ready` on standard error says that connections are accepted.",
        );
    let status = Command::new("status")
        .about("Show the sessions, pinholes, bytes and reasons of a running gateway");
    flags::with_flags(command, "gateway")
        .disable_help_subcommand(true)
        .subcommand(flags::with_flags(status, "gateway status"))
        .subcommand(Command::new("tidy").hide(true))
}

/// How URLs are written: part of the help of every command of the client.
const URLS: &str = "\
URLs: ftp://user:password@host:port/path. ftpes:// is the same, and never without TLS; ftps:// is \
under TLS from the first byte, on port 990. The path starts from the log-in directory; %2F at its \
beginning makes it absolute, a slash at its end says that it is a directory. Without a user it is \
anonymous; others on this machine can see a password on the command line. ;type=a at the end \
transfers text with its line ends converted.";

fn get() -> Command {
    let command = Command::new("get")
        .about("Download files, or with --recursive directories")
        .long_about(
            "Download files. LOCAL is a file, a directory, or - for standard output; without it files \
             go to the current directory. A file has its name only when it is whole and its length \
             was checked. With --recursive the URLs are directories: a slash at the end of the URL \
             means what is in it, without the directory itself.",
        )
        .override_usage("twoport get [OPTIONS] URL... [LOCAL]")
        .after_help(URLS)
        .arg(words());
    flags::with_flags(command, "get")
}

fn put() -> Command {
    let command = Command::new("put")
        .about("Upload files, or with --recursive directories")
        .long_about(
            "Upload files, or standard input as -. A URL that ends with a slash, or that more than one \
             LOCAL goes to, is a directory. With --recursive a LOCAL may be a directory, which is \
             made on the server.",
        )
        .override_usage("twoport put [OPTIONS] LOCAL... URL")
        .after_help(URLS)
        .arg(words());
    flags::with_flags(command, "put")
}

fn ls() -> Command {
    let command = Command::new("ls")
        .about("List a directory")
        .after_help(URLS)
        .arg(Arg::new("URL").required(true).help("The directory"));
    flags::with_flags(command, "ls")
}

fn network() -> Command {
    let command = Command::new("network")
        .about("Show which mode worked in which network")
        .long_about(
            "Show what `get`, `put` and `ls` remember: for each network (its gateway) and server, the mode \
             in which data connections worked last. They begin with it the next time. An entry is \
             forgotten after a week, and when its mode no longer works. The file is networks.json in \
             $XDG_STATE_HOME/twoport, or in ~/.local/state/twoport.",
        );
    flags::with_flags(command, "network")
}

fn check() -> Command {
    let command = Command::new("check")
        .about("Check a configuration: every mistake with its line, and what to do")
        .long_about(
            "Check a configuration file, and the account file that it names, without starting \
             anything. Mistakes go to standard error as FILE:LINE:COLUMN: key: what is wrong; what \
             to do. What depends on this machine, such as a directory that is not there, is a \
             warning.",
        )
        .arg(path("FILE").required(true).help("The configuration"));
    flags::with_flags(command, "check")
}

fn account() -> Command {
    let name = || Arg::new("NAME").required(true).help("The name to log in with");
    let verb = |verb: &'static str, about: &'static str| {
        flags::with_flags(Command::new(verb).about(about), &format!("account {verb}"))
    };
    Command::new("account")
        .about("Keep the accounts of an account file")
        .long_about(
            "Keep the accounts of an account file. Passwords are asked for without echo, or read \
             from the first line of standard input where it is no terminal; the file holds argon2id \
             hashes. A running server takes changes up at SIGHUP.",
        )
        .subcommand_required(true)
        .arg_required_else_help(true)
        .disable_help_subcommand(true)
        .subcommands([
            verb("add", "Add an account").arg(name()),
            verb("passwd", "Give an account another password").arg(name()),
            verb("list", "Show the accounts"),
            verb("remove", "Remove an account").arg(name()),
        ])
}

fn completions() -> Command {
    let shells = clap::builder::PossibleValuesParser::new(["bash", "zsh", "fish"]);
    Command::new("completions")
        .about("Print the completions for a shell")
        .arg(Arg::new("SHELL").required(true).value_parser(shells).help("The shell"))
}

fn man() -> Command {
    Command::new("man")
        .about("Write the manual pages into a directory")
        .arg(path("DIR").required(true).help("The directory, such as /usr/local/share/man/man1"))
        .hide(true)
}

/// All positional arguments of a command: which is a URL is seen by its beginning.
/// It is hidden, and not required here, since the usage line and the command say it better.
fn words() -> Arg {
    Arg::new("WORDS")
        .hide(true)
        .num_args(1..)
        .value_parser(OsStringValueParser::new())
        .value_hint(ValueHint::AnyPath)
}

/// A positional argument that is a path, of any bytes.
fn path(name: &'static str) -> Arg {
    Arg::new(name)
        .value_parser(OsStringValueParser::new())
        .value_hint(ValueHint::AnyPath)
        .action(ArgAction::Set)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parser_is_consistent() {
        command().debug_assert();
    }
}
