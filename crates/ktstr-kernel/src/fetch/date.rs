//! The two date formats at hand: `Valid-Until` of a release file, and the days of distro-info.

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Seconds since 1970 of `Fri, 06 Nov 2026 08:08:01 UTC`, the only form in release files.
pub(super) fn parse_release_date(text: &str) -> Option<i64> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let [_, day, month, year, time, "UTC" | "GMT" | "+0000"] = words[..] else { return None };
    let month = MONTHS.iter().position(|m| *m == month)?;
    let clock: Vec<i64> = time.split(':').map(str::parse).collect::<Result<_, _>>().ok()?;
    let [hours, minutes, seconds] = clock[..] else { return None };
    let year: i64 = year.parse().ok().filter(|y| (1970..10_000).contains(y))?;
    let day: i64 = day.parse().ok().filter(|d| (1..=31).contains(d))?;
    let days = days_from_civil(year, i64::try_from(month).ok()? + 1, day);
    Some(((days * 24 + hours) * 60 + minutes) * 60 + seconds)
}

/// `YYYY-MM-DD` of a time in seconds since 1970, UTC.
pub(super) fn day_of(seconds: i64) -> String {
    let (year, month, day) = civil_from_days(seconds.div_euclid(86_400));
    format!("{year:04}-{month:02}-{day:02}")
}

/// Days since 1970-01-01 of a Gregorian date (H. Hinnant, "chrono-Compatible Low-Level Date Algorithms").
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// The inverse of [`days_from_civil`], from the same source.
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let day_of_era = z.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_dates_have_their_known_seconds() {
        assert_eq!(parse_release_date("Thu, 01 Jan 1970 00:00:00 UTC"), Some(0));
        assert_eq!(parse_release_date("Fri, 06 Nov 2026 08:08:01 UTC"), Some(1_793_952_481)); // by date -d
        assert_eq!(day_of(1_793_952_481), "2026-11-06");
        assert_eq!(day_of(951_782_400), "2000-02-29");
    }

    #[test]
    fn other_forms_are_not_guessed() {
        for text in [
            "",
            "2026-11-06",
            "Fri, 06 Nov 2026 08:08:01 CET",
            "Fri, 06 Foo 2026 08:08:01 UTC",
            "Fri, 06 Nov 2026 08:08 UTC",
        ] {
            assert_eq!(parse_release_date(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn days_survive_the_round_trip(days in 0_i64..100_000) {
            let (y, m, d) = civil_from_days(days);
            prop_assert_eq!(days_from_civil(y, m, d), days);
            prop_assert!((1..=12).contains(&m) && (1..=31).contains(&d));
        }
    }
}
