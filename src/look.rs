//! How the app looks and which keys it has: what the command line says, and the user's own files.

use crate::tui::ascii;
use crate::tui::colour::Depth;
use crate::tui::keys::{self, Keymap};
use crate::tui::theme::{self, ThemeSettings};
use crate::tui::user_file;
use astill_core::cli::{AppearanceArgs, config_folder};
use astill_core::{Error, Result};
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

/// A file in which users change a part of the app.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UserFile {
    Keys,
    Theme,
}

impl UserFile {
    fn name(self) -> &'static str {
        match self {
            Self::Keys => "keys.yaml",
            Self::Theme => "theme.yaml",
        }
    }

    /// What it may hold, all of it comments.
    #[must_use]
    pub fn template(self) -> String {
        match self {
            Self::Keys => keys::user::template(),
            Self::Theme => theme::user::template(),
        }
    }

    /// Writes the template where the app looks for the file; returns its path.
    ///
    /// # Errors
    /// There is a file, it cannot be written, or nobody says where the user's files are.
    pub fn write(self) -> Result<PathBuf> {
        let folder = config_folder().ok_or_else(|| {
            Error::Usage(
                "neither XDG_CONFIG_HOME nor HOME is set, so there is no folder for it: print it into a \
                 file without --write, and name that with --keys or --theme"
                    .into(),
            )
        })?;
        let path = folder.join(self.name());
        fs::create_dir_all(&folder).map_err(Error::io("create", &folder))?;
        let created = OpenOptions::new().write(true).create_new(true).open(&path);
        let mut file = created.map_err(|error| match error.kind() {
            std::io::ErrorKind::AlreadyExists => Error::Usage(format!(
                "{} is there already and stays as it is; without --write, the file is printed",
                path.display()
            )),
            _ => Error::io("create", &path)(error),
        })?;
        let written = file.write_all(self.template().as_bytes());
        written.map_err(Error::io("write", &path))?;
        Ok(path)
    }

    /// The text of the file that was named, or else of the one in the user's folder, with its path; none
    /// where nothing is changed.
    fn read(self, named: Option<&Path>) -> Result<Option<(PathBuf, String)>> {
        let own = || config_folder().map(|folder| folder.join(self.name()));
        let path = match named {
            Some(path) => path.to_path_buf(),
            None => match own().filter(|path| path.symlink_metadata().is_ok()) {
                Some(path) => path,
                None => return Ok(None),
            },
        };
        let text = user_file::read(&path).map_err(|error| match error {
            Error::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound => {
                let (path, command) = (path.display(), self.name().trim_end_matches(".yaml"));
                Error::Usage(format!(
                    "{path}: no such file; `astill {command}` prints one to start from"
                ))
            }
            other => other,
        })?;
        Ok(Some((path, text)))
    }
}

/// All of it, read before the app takes the terminal.
#[derive(Debug)]
pub struct Look {
    pub depth: Depth,
    pub ascii: bool,
    pub mouse: bool,
    pub notifies: bool,
    pub keys: Keymap,
    pub theme: ThemeSettings,
}

impl Look {
    /// What the arguments and the environment say, with the user's files.
    ///
    /// # Errors
    /// A file cannot be read or is wrong, or the terminal can only print lines.
    pub fn load(args: &AppearanceArgs) -> Result<Self> {
        check_terminal()?;
        let env = |name: &str| std::env::var(name).ok();
        Ok(Self {
            depth: Depth::detect(args.color, &env),
            ascii: args.ascii || ascii::is_needed(&env),
            mouse: args.mouse,
            notifies: args.notify,
            keys: keys_of(args)?,
            theme: theme_of(args)?,
        })
    }
}

/// Whether the app can be shown on this terminal.
///
/// # Errors
/// [`Error::Usage`] if it cannot place text, as those inside editors and of build logs.
fn check_terminal() -> Result<()> {
    match std::env::var("TERM").as_deref() {
        Ok("dumb") => Err(Error::Usage(
            "this terminal can only print lines (TERM is dumb), and the app needs one that can place \
             text: use `astill run PROFILE --headless`, `astill list` and `astill send RUN …`, or set \
             TERM to what the terminal is, xterm for example"
                .into(),
        )),
        _ => Ok(()),
    }
}

/// The user's keys.
///
/// # Errors
/// The file cannot be read, or is wrong; then what is wrong with it.
fn keys_of(look: &AppearanceArgs) -> Result<Keymap> {
    match UserFile::Keys.read(look.keys.as_deref())? {
        Some((path, text)) => keys::user::patched(&path, &text),
        None => Ok(Keymap::default()),
    }
}

/// The user's colours.
///
/// # Errors
/// As [`keys_of`].
fn theme_of(look: &AppearanceArgs) -> Result<ThemeSettings> {
    match UserFile::Theme.read(look.theme.as_deref())? {
        Some((path, text)) => theme::user::patched(&path, &text),
        None => Ok(ThemeSettings::default()),
    }
}
