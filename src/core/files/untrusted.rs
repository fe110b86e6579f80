//! Files that somebody else may have made: a run that was copied here, a data set, a profile. No
//! more is read than a limit allows, and only regular files are opened: a pipe could block the
//! program for ever, and a device may be endless.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Opens a regular file for reading; links are followed.
///
/// # Errors
/// The system refuses to open it, or it is not a regular file.
pub fn open(path: &Path) -> io::Result<File> {
    regular(
        OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NONBLOCK)
            .open(path)?,
    )
}

/// Opens a file that belongs to a run, for reading and as `options` say; its content is kept.
///
/// # Errors
/// The system refuses to open it, it is not a regular file, or it is a link: writing through a link
/// in somebody else's run could change any file of the user.
pub fn open_own(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    let opened = options
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOFOLLOW)
        .open(path);
    regular(opened.map_err(|e| match e.raw_os_error() {
        Some(libc::ELOOP) => io::Error::new(
            ErrorKind::InvalidInput,
            "it is a link, but a run writes only to its own files; remove the link",
        ),
        _ => e,
    })?)
}

/// The content of a regular file.
///
/// # Errors
/// As [`open`]; the file has more than `largest` bytes; or reading fails.
pub fn read(path: &Path, largest: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?.take(largest + 1).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > largest {
        true => Err(io::Error::new(
            ErrorKind::FileTooLarge,
            format!(
                "it is larger than {largest} bytes, so it is damaged or a different file; restore \
                 it from a copy"
            ),
        )),
        false => Ok(bytes),
    }
}

/// As [`read`], for UTF-8 text.
///
/// # Errors
/// As [`read`], or the content is not UTF-8.
pub fn read_text(path: &Path, largest: u64) -> io::Result<String> {
    String::from_utf8(read(path, largest)?)
        .map_err(|_| io::Error::new(ErrorKind::InvalidData, "it is not UTF-8 text"))
}

/// Calls `take` with every line, without its line end. A line of more than `longest` bytes is
/// skipped and never held in memory.
///
/// # Errors
/// Reading fails.
pub fn for_each_line(
    file: impl Read,
    longest: usize,
    mut take: impl FnMut(&[u8]),
) -> io::Result<()> {
    let mut reader = BufReader::new(file);
    let mut line = Vec::new();
    loop {
        line.clear();
        if reader
            .by_ref()
            .take(longest as u64 + 1)
            .read_until(b'\n', &mut line)?
            == 0
        {
            return Ok(());
        }
        let is_whole = line.pop_if(|b| *b == b'\n').is_some();
        if is_whole || line.len() <= longest {
            take(&line);
        } else {
            reader.skip_until(b'\n')?;
        }
    }
}

/// The number of bytes up to and including the last line end. The file is then positioned at its
/// start.
///
/// # Errors
/// Reading or seeking fails.
pub fn whole_lines(mut file: &File) -> io::Result<u64> {
    let mut end = file.metadata()?.len();
    let mut block = [0; 1 << 16];
    while end > 0 {
        let from = end.saturating_sub(block.len() as u64);
        let part = &mut block[..(end - from) as usize];
        file.seek(SeekFrom::Start(from))?;
        file.read_exact(part)?;
        if let Some(at) = part.iter().rposition(|b| *b == b'\n') {
            end = from + at as u64 + 1;
            break;
        }
        end = from;
    }
    file.rewind()?;
    Ok(end)
}

fn regular(file: File) -> io::Result<File> {
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::new(
            ErrorKind::InvalidInput,
            "it is not a regular file but a pipe, a device or a folder; put a regular file there",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn only_regular_files_are_opened_and_no_more_is_read_than_allowed() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let path = |name: &str| folder.path().join(name);
        fs::write(path("file"), "text")?;
        std::os::unix::fs::symlink("file", path("link"))?;
        let pipe = std::ffi::CString::new(path("pipe").into_os_string().into_encoded_bytes())?;
        // SAFETY: the path is a C string that lives until after the call
        assert_eq!(unsafe { libc::mkfifo(pipe.as_ptr(), 0o600) }, 0);
        for refused in [
            path("pipe"),
            "/dev/zero".into(),
            folder.path().into(),
            path("none"),
        ] {
            assert!(read(&refused, 9).is_err(), "{}", refused.display());
        }
        assert_eq!(read(&path("link"), 4)?, b"text");
        assert!(
            read(&path("link"), 3).is_err_and(|e| e.to_string().contains("larger than 3 bytes"))
        );
        assert!(
            open_own(&path("link"), OpenOptions::new().append(true))
                .is_err_and(|e| e.to_string().contains("remove the link"))
        );
        assert!(open_own(&path("pipe"), OpenOptions::new().append(true)).is_err());
        Ok(())
    }

    #[test]
    fn a_line_that_is_too_long_is_passed_over() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("lines");
        let lines = |text: &str| {
            fs::write(&path, text)?;
            let mut found = Vec::new();
            for_each_line(&open(&path)?, 4, |l| {
                found.push(String::from_utf8_lossy(l).into_owned())
            })?;
            io::Result::Ok(found)
        };
        assert_eq!(lines("a\n\n1234\n12345\nb")?, ["a", "", "1234", "b"]);
        assert_eq!(lines(&format!("{}\nx", "y".repeat(100_000)))?, ["x"]);
        assert_eq!(lines("1234")?, ["1234"]);
        assert_eq!(lines("12345")?, Vec::<String>::new());
        for (text, whole) in [
            ("", 0),
            ("torn", 0),
            ("a\n", 2),
            ("a\nb", 2),
            (&format!("a\n{}", "y".repeat(100_000)), 2),
        ] {
            fs::write(&path, text)?;
            assert_eq!(whole_lines(&open(&path)?)?, whole);
        }
        Ok(())
    }
}
