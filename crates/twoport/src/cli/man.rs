//! Manual pages and completions, made from the parser and the tables.
//!
//! No text of its own is here but what belongs to every page.

use std::fs;
use std::path::PathBuf;

use clap::{ArgMatches, Command};
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, italic, roman};

use twoport_server::config::account::ACCOUNT_KEYS;
use twoport_server::config::listener::LISTENER_KEYS;
use twoport_server::config::settings::{SECTIONS, Setting, TABLE};

use super::exit::Exit;
use super::output;
use super::{Failure, Outcome};

/// What is to be known of `[[listener]]` tables.
pub(crate) const ABOUT_LISTENERS: &str = "\
Each table listens at the addresses of its own listen and implicit-tls, beside those of [server] and \
[tls]. What it leaves out of the rest is as [tls] has it. Where there are such tables, listen in \
[server] left alone means no address.";

/// A manual page: its file name and its source.
pub(crate) type Page = (String, String);

/// Writes the pages into a directory.
pub(crate) fn run(matches: &ArgMatches) -> Outcome {
    let directory =
        matches.get_one::<std::ffi::OsString>("DIR").map(PathBuf::from).unwrap_or_default();
    for (name, text) in pages().map_err(|error| Failure::here(error.to_string()))? {
        let path = directory.join(name);
        fs::write(&path, text)
            .map_err(|error| Failure::here(format!("cannot write {}: {error}", path.display())))?;
    }
    Ok(Exit::Done)
}

/// Prints the completions for a shell.
pub(crate) fn completions(matches: &ArgMatches) -> Outcome {
    let shell = match matches.get_one::<String>("SHELL").map(String::as_str) {
        Some("zsh") => Shell::Zsh,
        Some("fish") => Shell::Fish,
        _ => Shell::Bash,
    };
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut super::command(), "twoport", &mut text);
    output::data(&twoport_proto::text::Escaped(&text).to_string())
}

/// Every page: one for the program, one for each command, and one for the configuration.
pub(crate) fn pages() -> std::io::Result<Vec<Page>> {
    let mut command = super::command();
    command.build();
    let mut pages = Vec::new();
    add_pages(&mut pages, &command, "twoport")?;
    pages.push(("twoport.toml.5".to_owned(), configuration()));
    Ok(pages)
}

/// The page of a command, and those of the commands below it.
fn add_pages(pages: &mut Vec<Page>, command: &Command, name: &str) -> std::io::Result<()> {
    pages.push((format!("{name}.1"), page(command, name)?));
    let children = command.get_subcommands().filter(|child| !child.is_hide_set());
    children
        .into_iter()
        .try_for_each(|child| add_pages(pages, child, &format!("{name}-{}", child.get_name())))
}

fn page(command: &Command, name: &str) -> std::io::Result<String> {
    // No date: the same source makes the same page, whenever it is made.
    let man = Man::new(command.clone())
        .title(name.to_uppercase())
        .source(format!("twoport {}", env!("CARGO_PKG_VERSION")))
        .manual("twoport manual");
    let mut page = Vec::new();
    man.render(&mut page)?;
    let mut text = String::from_utf8(page).map_err(std::io::Error::other)?;
    // The last section has a name that tells nothing.
    text = text.replace(".SH EXTRA", ".SH NOTES");
    if let Some(cut) = text.find(".SH VERSION") {
        text.truncate(cut);
    }
    let mut end = Roff::new();
    exits(&mut end);
    see_also(&mut end, name);
    text.push_str(&end.render());
    Ok(text)
}

fn exits(page: &mut Roff) {
    page.control("SH", ["EXIT STATUS"]);
    for exit in Exit::ALL {
        page.control("TP", []);
        page.text([bold(exit.code().to_string())]);
        page.text([roman(format!("{} (", exit.about())), italic(exit.word()), roman(" in JSON).")]);
    }
}

fn see_also(page: &mut Roff, name: &str) {
    page.control("SH", ["SEE ALSO"]);
    let others = ["twoport(1)", "twoport-serve(1)", "twoport-account(1)", "twoport.toml(5)"];
    let others = others.into_iter().filter(|other| *other != format!("{name}(1)"));
    page.text([roman(others.collect::<Vec<_>>().join(", "))]);
}

fn configuration() -> String {
    let mut page = Roff::new();
    page.control("TH", ["TWOPORT.TOML", "5", "", "twoport", "twoport manual"]);
    page.control("SH", ["NAME"]);
    page.text([roman("twoport.toml - the configuration of twoport serve")]);
    page.control("SH", ["DESCRIPTION"]);
    page.text([roman(
        "A TOML file with one table for each section below. Every setting has a default, and a flag \
         of the same name that overrides it. Keys that are not here are refused. Relative paths \
         start from the directory of the file. `twoport check` finds every mistake, with its line.",
    )]);
    for section in SECTIONS {
        let title = format!("[{}]: {}", section.name, section.title);
        page.control("SH", [title.as_str()]);
        TABLE.iter().filter(|row| row.section == section.name).for_each(|row| item(&mut page, row));
    }
    page.control("SH", ["[[listener]]: One table for each listener with rules of its own"]);
    page.text([roman(format!("{ABOUT_LISTENERS} The keys are {}.", LISTENER_KEYS.join(", ")))]);
    page.control("SH", ["[[account]]: One table for each account"]);
    for row in ACCOUNT_KEYS {
        page.control("TP", []);
        page.text([bold(row.key)]);
        let default = if row.default.is_empty() { "must be given" } else { row.default };
        page.text([roman(format!("{}. ", row.about)), bold(format!("Default: {default}."))]);
    }
    see_also(&mut page, "twoport.toml");
    page.render()
}

fn item(page: &mut Roff, row: &Setting) {
    page.control("TP", []);
    page.text([bold(row.key), roman(" = "), italic(row.form.placeholder)]);
    page.text([roman(format!("{}. Write {}.", row.about, row.form.describe))]);
    page.control("br", []);
    if row.default.is_empty() {
        page.text([roman(format!("No default: {}.", row.origin))]);
    } else {
        let default = bold(format!("Default: {}", row.in_toml(row.default)));
        page.text([default, roman(format!(": {}.", row.origin))]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_flag_and_exit_has_its_place_in_a_page() {
        let pages = pages().unwrap();
        let text = |name: &str| {
            let page = pages.iter().find(|(file, _)| file == name).unwrap();
            page.1.replace("\\-", "-").replace("\\*(Aq", "'")
        };
        for setting in TABLE {
            assert!(text("twoport.toml.5").contains(setting.key), "{}", setting.key);
        }
        for flag in super::super::flags::FLAGS {
            for command in flag.of {
                let page = format!("twoport-{}.1", command.replace(' ', "-"));
                assert!(text(&page).contains(&format!("--{}", flag.long)), "{page} {}", flag.long);
            }
        }
        for exit in Exit::ALL {
            assert!(text("twoport.1").contains(exit.about()), "{}", exit.word());
        }
    }
}
