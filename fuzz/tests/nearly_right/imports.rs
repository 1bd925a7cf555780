use bank_import::row;
use bank_import::source::{Line, read_lines};
use postfold_fuzz::{corpus, fuzz, nearly};

#[test]
fn a_line_of_an_import_is_a_row_or_says_what_is_wrong_with_it() {
    fuzz(&nearly(corpus("imports.txt")), |bytes| {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        for ended in [true, false] {
            let line = Line { number: 7, text: text.clone(), ended };
            drop((row::account(&line), row::transaction(&line), row::salvage(&line)));
        }
        let mut file = [row::TRANS_HEADER.as_bytes(), b"\n"].concat();
        file.extend(&bytes);
        drop(read_lines(file.as_slice(), row::TRANS_HEADER, |line| drop(row::transaction(line))));
        drop(read_lines(bytes.as_slice(), row::ACCOUNT_HEADER, |line| drop(row::account(line))));
        Ok(())
    });
}
