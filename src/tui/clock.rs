//! The times of events in the local time zone.

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// "14:03:27" where the user is; with the date, "Jan 31 14:03:27", if that is not the day of `now`
/// (seconds since 1970; 0 if not known yet).
pub fn time(event: &str, zone: &TimeZone, now: f64) -> String {
    let Ok(at) = event.parse::<Timestamp>() else {
        return String::new();
    };
    let at = at.to_zoned(zone.clone());
    let today = Timestamp::from_second(now as i64).map(|n| n.to_zoned(zone.clone()).date());
    let is_today = now == 0. || today.is_ok_and(|day| day == at.date());
    at.strftime(if is_today {
        "%H:%M:%S"
    } else {
        "%b %d %H:%M:%S"
    })
    .to_string()
}

/// "2026-01-31 14:03 +02:00": where the user is, and how far that is from UTC.
pub fn date(event: &str, zone: &TimeZone) -> String {
    event
        .parse::<Timestamp>()
        .map(|at| {
            at.to_zoned(zone.clone())
                .strftime("%Y-%m-%d %H:%M %:z")
                .to_string()
        })
        .unwrap_or_default()
}

/// "14:03" where the user is, if that is the day of `now` (seconds since 1970; 0 if not known yet), else
/// "Jan 31", and with the year where that is another one.
pub fn day(event: &str, zone: &TimeZone, now: f64) -> String {
    let Ok(at) = event.parse::<Timestamp>() else {
        return String::new();
    };
    let at = at.to_zoned(zone.clone());
    let now = Timestamp::from_second(now as i64).map(|n| n.to_zoned(zone.clone()));
    let format = match now {
        Ok(now) if now.date() == at.date() => "%H:%M",
        Ok(now) if now.year() != at.year() && now.year() > 1970 => "%b %d %Y",
        _ => "%b %d",
    };
    at.strftime(format).to_string()
}

/// "22:51" where the user is, `seconds` after `now`, seconds since 1970; with the date, "Jan 31 22:51",
/// if that is another day. None where `now` is not known yet.
pub fn end(now: f64, seconds: f64, zone: &TimeZone) -> Option<String> {
    let at = |second: f64| Timestamp::from_second(second as i64).ok();
    let (now, end) = (at(now).filter(|_| now > 0.)?, at(now + seconds)?);
    let (now, end) = (now.to_zoned(zone.clone()), end.to_zoned(zone.clone()));
    let format = match now.date() == end.date() {
        true => "%H:%M",
        false => "%b %d %H:%M",
    };
    Some(end.strftime(format).to_string())
}

/// "+02:00": how far the time where the user is is from UTC at `now`, seconds since 1970.
pub fn offset(zone: &TimeZone, now: f64) -> String {
    Timestamp::from_second(now as i64)
        .map(|now| now.to_zoned(zone.clone()).strftime("%:z").to_string())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::tz::Offset;

    #[test]
    fn times_are_those_of_the_place_and_another_day_is_named() {
        let zone = TimeZone::fixed(Offset::constant(2));
        let now = 1_767_225_600.; // 2026-01-01T00:00:00Z, 02:00 here
        assert_eq!(time("2025-12-31T22:30:05.123Z", &zone, now), "00:30:05");
        assert_eq!(
            time("2025-12-31T21:30:05.123Z", &zone, now),
            "Dec 31 23:30:05"
        );
        assert_eq!(time("2025-12-31T21:30:05.123Z", &zone, 0.), "23:30:05");
        assert_eq!(time("nonsense", &zone, now), "");
        assert_eq!(end(now, 3600., &zone).as_deref(), Some("03:00"));
        assert_eq!(end(now, 86_400., &zone).as_deref(), Some("Jan 02 02:00"));
        assert_eq!(end(0., 1., &zone), None);
        assert_eq!(
            date("2025-12-31T22:30:05.123Z", &zone),
            "2026-01-01 00:30 +02:00"
        );
    }
}
