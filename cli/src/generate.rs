//! `completions` and `man`: what a package puts beside the binary.

use std::io;

use clap::Command;
use clap_mangen::Man;

use crate::args::{self, Completions};
use crate::exit::{Exit, Failure};
use crate::{output, program};

/// The completion script of a shell.
pub(crate) fn completions(options: &Completions, models: &[&'static str]) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(options.shell, &mut args::command(models), program::name(), &mut script);
    output::print(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Done)
}

/// One page for the program and all of its commands.
pub(crate) fn man(models: &[&'static str]) -> Result<Exit, Failure> {
    let page =
        page(models).map_err(|error| Failure::infrastructure(format!("the man page cannot be written: {error}")))?;
    output::print(&String::from_utf8_lossy(&page))?;
    Ok(Exit::Done)
}

fn page(models: &[&'static str]) -> io::Result<Vec<u8>> {
    let mut page = Vec::new();
    // Before the options that all commands take are given to each of them.
    let commands = args::command(models);
    let man = Man::new(args::command(models));
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    for command in commands.get_subcommands() {
        add(&mut page, program::name(), command)?;
    }
    man.render_extra_section(&mut page)?;
    man.render_version_section(&mut page)?;
    Ok(page)
}

fn add(page: &mut Vec<u8>, parent: &str, command: &Command) -> io::Result<()> {
    let name = format!("{parent} {}", command.get_name());
    if command.has_subcommands() {
        return command.get_subcommands().try_for_each(|command| add(page, &name, command));
    }
    let man = Man::new(command.clone().bin_name(name.clone()).disable_help_flag(true));
    let mut section = Vec::new();
    man.render_synopsis_section(&mut section)?;
    man.render_description_section(&mut section)?;
    if command.get_arguments().next().is_some() {
        man.render_options_section(&mut section)?;
    }
    // A section of its own for the command, with the sections of its page below.
    page.extend(format!(".SH \"{}\"\n", name.to_uppercase()).into_bytes());
    page.extend(String::from_utf8_lossy(&section).replace(".SH ", ".SS ").into_bytes());
    Ok(())
}
