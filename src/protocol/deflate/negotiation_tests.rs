//! D6: what is offered, accepted, declined and refused, in both roles (RFC 7692 §5, §7.1).

use super::*;

const KEEP: Deflate = Deflate {
    server_no_context_takeover: false,
    client_no_context_takeover: false,
    server_max_window_bits: 15,
    client_max_window_bits: 15,
    accept_no_context_takeover: true,
    level: 6,
    threshold: 0,
};

fn list(value: &str) -> Vec<Extension> {
    let mut extensions = Extension::parse_list(value.as_bytes()).unwrap();
    extensions.retain(|extension| extension.name == NAME);
    extensions
}

/// Parameters in short: `s` and `c` for the two takeovers, `S` and `C` for the two windows.
fn long(short: &str) -> String {
    let params = short.split_whitespace().map(|param| {
        let (name, value) = param.split_at(1);
        let name = match name {
            "s" => SERVER_NO_CONTEXT,
            "c" => CLIENT_NO_CONTEXT,
            "S" => SERVER_BITS,
            "C" => CLIENT_BITS,
            _ => name,
        };
        format!("; {name}{value}")
    });
    format!("{NAME}{}", params.collect::<String>())
}

fn answered(wanted: &Deflate, offers: &str) -> Option<String> {
    let offers = list(offers);
    let answer = answer(wanted, &offers)?;
    // What we answer is what we would take for an answer.
    assert!(check(Role::Client, &KEEP, &offers, &answer).is_ok(), "{answer}");
    assert!(check(Role::Server, wanted, &offers, &answer).is_ok(), "{answer}");
    Some(answer.to_string())
}

#[test]
fn d6_rfc7692_s7_1_a_server_accepts_valid_offers() {
    let bits =
        |server, client| Deflate { server_max_window_bits: server, client_max_window_bits: client, ..KEEP };
    let table = [
        (KEEP, "", ""),
        (KEEP, "s", "s"),
        (KEEP, "c", "c"),
        (KEEP, "C", ""),
        (KEEP, "C=15", "C=15"),
        (KEEP, "C=8", "C=8"),
        (KEEP, "S=15", "S=15"),
        (KEEP, "S=9", "S=9"),
        (KEEP, "S=\"10\"", "S=10"),
        (KEEP, "C=\"12\" c S=\"\\1\\1\" s", "s c S=11 C=12"),
        (Deflate::default(), "", "s c"),
        (Deflate::default(), "C", "s c"),
        (bits(10, 11), "", "S=10"),
        (bits(10, 11), "C", "S=10 C=11"),
        (bits(10, 11), "C=9 S=12", "S=10 C=9"),
        (bits(10, 11), "C=12 S=9", "S=9 C=11"),
        // Whoever did not check the settings gets the nearest that is possible.
        (bits(0, 200), "C S=9", "S=9"),
    ];
    for (wanted, offer, answer) in table {
        assert_eq!(answered(&wanted, &long(offer)), Some(long(answer)), "{offer}");
    }
}

#[test]
fn d6_rfc7692_s7_1_a_server_declines_invalid_offers() {
    let declined = [
        // Not to be had: zlib cannot keep within a window of 2^8.
        "S=8",
        // Without the value that it must have, or with one that it cannot have.
        "S",
        "s=1",
        "s=true",
        "c=0",
        "c=15",
        // Out of range, or not a decimal number without leading zeros.
        "S=7",
        "S=16",
        "S=0",
        "S=-9",
        "S=+9",
        "S=09",
        "S=009",
        "S=9.0",
        "S=1e1",
        "S=0x9",
        "S=99",
        "S=256",
        "S=264",
        "S=18446744073709551625",
        "S=nine",
        "C=7",
        "C=16",
        "C=08",
        "C=08",
        "C=x",
        "C=1",
        "C=150",
        "C=\"016\"",
        // Twice.
        "s s",
        "c c",
        "S=9 S=9",
        "S=9 S=10",
        "C C",
        "C=9 C",
        "C C=9",
        "C=9 C=9",
        // Unknown. Names are tokens, and these are others.
        "x",
        "x=1",
        "s x",
        "server_max_window_bits_=9",
        "Server_No_Context_Takeover",
    ];
    for offer in declined {
        assert_eq!(answered(&KEEP, &long(offer)), None, "{offer}");
    }
    for other in ["permessage-bzip2", "x-webkit-deflate-frame", "Permessage-Deflate", "permessage-deflate2"] {
        assert_eq!(answered(&KEEP, other), None, "{other}");
    }
    let own = Deflate { accept_no_context_takeover: false, ..KEEP };
    assert_eq!(answered(&own, &long("s")), None);
    assert_eq!(answered(&own, &long("c")), Some(long("c")));
}

#[test]
fn d6_rfc7692_s5_1_a_server_accepts_the_first_acceptable_offer() {
    let table = [
        (vec!["S=8", "S=10", ""], Some("S=10")),
        (vec!["x", "S=8"], None),
        (vec!["S=16", "s", "c"], Some("s")),
        (vec!["", "s"], Some("")),
        (vec!["S S", "C=0", "s=1", "C"], Some("")),
    ];
    for (offers, expected) in table {
        let offered = offers.iter().map(|offer| long(offer)).collect::<Vec<_>>();
        let with_others = format!("permessage-bzip2, {}, x-other; y", offered.join(", "));
        assert_eq!(answered(&KEEP, &with_others), expected.map(long), "{offers:?}");
    }
}

#[test]
fn d6_rfc7692_s7_1_a_client_offers_its_settings() {
    let table = [
        (KEEP, "C"),
        (Deflate::default(), "s c C"),
        (Deflate { server_max_window_bits: 9, client_max_window_bits: 10, ..KEEP }, "S=9 C=10"),
        (Deflate { server_max_window_bits: 0, client_max_window_bits: 255, ..KEEP }, "S=9 C"),
    ];
    for (wanted, expected) in table {
        assert_eq!(offer(&wanted).to_string(), long(expected));
    }
}

#[test]
fn d6_k3_rfc7692_s7_1_a_client_checks_the_response() {
    let fits = |offer: &str, answer: &str| {
        let result = check(Role::Client, &KEEP, &list(&long(offer)), &list(&long(answer))[0]);
        assert!(result.is_ok() || result == Err(ProtocolError::ExtensionMismatch));
        result.is_ok()
    };
    let good = [
        ("C", ""),
        ("C", "s"),
        ("C", "c"),
        ("C", "s c"),
        ("C", "S=8"),
        ("C", "S=15"),
        ("C", "C=8"),
        ("C", "C=15"),
        ("C=10", "C=9"),
        ("C=10", "C=10"),
        ("C=10", ""),
        ("s", "s"),
        ("s", "s S=9"),
        ("S=10", "S=10"),
        ("S=10", "S=8"),
        ("C", "C=\"9\""),
        ("", "S=\"9\""),
    ];
    for (offer, answer) in good {
        assert!(fits(offer, answer), "{offer} -> {answer}");
    }
    let bad = [
        // What was asked for is not granted.
        ("s", ""),
        ("s", "c"),
        ("S=10", ""),
        ("S=10", "S=11"),
        ("S=10", "s"),
        // What was not offered is demanded.
        ("", "C=9"),
        ("s", "s C=15"),
        ("C=10", "C=11"),
        // A value is missing, not wanted, or out of range.
        ("C", "C"),
        ("C", "S"),
        ("C", "s=1"),
        ("C", "c=9"),
        ("C", "S=7"),
        ("C", "S=16"),
        ("C", "C=7"),
        ("C", "C=16"),
        ("C", "C=1000"),
        ("C", "S=08"),
        ("C", "C=65544"),
        ("C", "S=-9"),
        ("C", "C=99999999999999999999"),
        // Twice, or unknown.
        ("C", "s s"),
        ("C", "C=9 C=9"),
        ("C", "S=9 S=8"),
        ("C", "x"),
        ("C", "s x=1"),
    ];
    for (offer, answer) in bad {
        assert!(!fits(offer, answer), "{offer} -> {answer}");
    }
}

#[test]
fn d6_a_client_can_reject_client_no_context_takeover() {
    let own = Deflate { accept_no_context_takeover: false, ..KEEP };
    let (offers, answer) = (list(&long("C")), list(&long("c")).remove(0));
    assert_eq!(check(Role::Client, &own, &offers, &answer), Err(ProtocolError::ExtensionMismatch));
    assert!(check(Role::Client, &KEEP, &offers, &answer).is_ok());
}

#[test]
fn d6_a_response_must_match_one_of_several_offers() {
    let offers = list(&format!("{}, {}", long("s S=10"), long("C")));
    let fits = |answer: &str| check(Role::Client, &KEEP, &offers, &list(&long(answer))[0]).is_ok();
    assert!(fits("s S=9") && fits("C=9") && fits(""));
    assert!(!fits("s S=9 x"));
}
