//! `loyalty`: the `postfold` command, with the points of customers beside the read models that come with it.

use std::process::ExitCode;

use loyalty::Loyalty;
use postfold_cli::Cli;

fn main() -> ExitCode {
    Cli::stock().with(Loyalty).main()
}
