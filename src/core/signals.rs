//! The signals that ask a program to stop.

use crate::{Error, Result};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::time::Duration;

/// Signals within this time count as one request to stop: a shell and a batch system signal the
/// process and its group.
pub const ONE_REQUEST: Duration = Duration::from_secs(1);

/// Those signals, except the ones that this process was started to ignore, as nohup does. From here
/// on they no longer end the process.
///
/// # Errors
/// The system refuses to catch them.
pub fn stop_signals() -> Result<Signals> {
    // where there is no /proc, every signal counts
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = ignored_signals(&status);
    let wanted = [SIGINT, SIGTERM, SIGHUP]
        .into_iter()
        .filter(|signal| ignored & (1 << (signal - 1)) == 0);
    Signals::new(wanted).map_err(Error::io("wait for", "signals"))
}

/// The mask of ignored signals in the text of /proc/PID/status: bit n - 1 is signal n.
fn ignored_signals(status: &str) -> u64 {
    let mask = status.lines().find_map(|l| l.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_signals_are_read_from_the_mask() {
        let status = "Name:\tx\nSigBlk:\tffffffffffffffff\nSigIgn:\t0000000000001001\nSigCgt:\t0\n";
        assert_eq!(
            ignored_signals(status),
            1 << (SIGHUP - 1) | 1 << (libc::SIGPIPE - 1)
        );
        assert_eq!(ignored_signals("SigIgn:\tnonsense\n"), 0);
        assert_eq!(ignored_signals(""), 0);
    }
}
