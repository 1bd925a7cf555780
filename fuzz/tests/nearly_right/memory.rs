use postfold::Command;

/// So much of the memory of this process was in use at most, in bytes.
fn high_water() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("a system that tells of the memory of a process");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("its high-water mark");
    line.split_whitespace().nth(1).and_then(|kib| kib.parse::<usize>().ok()).expect("a number of KiB") * 1024
}

/// Most bytes that reading may take for each byte of a text.
const BYTES_A_BYTE: usize = 64;

const TEXT_BYTES: usize = 8 * 1024 * 1024;

#[test]
fn reading_takes_memory_in_proportion_to_the_text() {
    let fill =
        |before: &str, piece: &str, behind: &str| format!("{before}{}{behind}", piece.repeat(TEXT_BYTES / piece.len()));
    let texts = [
        fill("", "[", ""),
        fill("", "{\"a\":", ""),
        fill("[", "0,", "0]"),
        fill("{\"do\":\"post\",\"id\":\"x\",\"legs\":[", "[],", "[]]}"),
        fill("{\"do\":\"post\",\"id\":\"x\",\"legs\":[", "{},", "{}]}"),
        fill("{\"do\":\"batch\",\"atomic\":true,\"commands\":[", "{},", "{}]}"),
        fill("{\"do\":\"batch\",\"atomic\":false,\"commands\":[", "{\"do\":\"void\"},", "{}]}"),
        fill("{\"do\":\"record\",\"entity\":\"a/b\",\"kind\":\"k\",\"data\":{\"a\":[", "\"\",", "0]}}"),
        fill("{\"do\":\"", "\\u00e9", "\"}"),
        fill("{\"do\":\"expire_due\",\"id\":", "9", "}"),
    ];
    for text in texts {
        let before = high_water();
        let read = Command::from_json(&text);
        let refused = read.and_then(|command| command.check()).is_err();
        let (taken, allowed) = (high_water().saturating_sub(before), BYTES_A_BYTE * text.len());
        let beginning = &text[..60];
        assert!(refused, "{beginning} was taken");
        assert!(taken <= allowed, "{beginning}: {taken} bytes were taken for {}", text.len());
        println!("{beginning}: {} bytes a byte", taken / text.len());
    }
}
