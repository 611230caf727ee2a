//! The rules of the house. Each failure lists the places.

#![expect(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

use twoport_lab::house;

fn none(broken: Result<Vec<String>, String>) {
    let broken = broken.unwrap();
    assert!(broken.is_empty(), "\n{}\n", broken.join("\n"));
}

#[test]
fn no_file_is_too_long_to_read() {
    for file in house::rather_long_files().unwrap() {
        println!("{file}");
    }
    none(house::long_files());
}

#[test]
fn every_module_says_what_it_is_for() {
    none(house::modules_without_doc());
}

#[test]
fn every_module_has_a_name_that_says_something() {
    none(house::empty_names());
}

#[test]
fn the_protocol_core_has_no_std() {
    none(house::std_in_the_core());
}

#[test]
fn only_sys_is_unsafe() {
    none(house::unsafe_outside_sys());
}

#[test]
fn nothing_is_left_over_or_silenced() {
    none(house::forbidden_words());
}

#[test]
fn no_text_names_the_machine_it_was_written_on() {
    none(house::traces_of_a_machine());
}

#[test]
fn every_link_of_the_documents_leads_somewhere() {
    none(house::dead_links());
}

#[test]
fn every_verb_has_a_row() {
    none(house::verbs_without_row());
}

#[test]
fn every_verb_has_a_session() {
    none(house::verbs_without_session());
}

#[test]
fn every_reason_of_the_server_has_a_session() {
    none(house::reasons_without_session());
}
