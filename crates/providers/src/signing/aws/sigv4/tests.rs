//! Known answers: those that botocore 1.44.5 gives, and the one in AWS's documentation.

use super::*;
use proptest::prelude::*;

const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const SESSION: &str = "IQoJb3JpZ2luX2VjEXAMPLE//token==";

struct Case {
    method: &'static str,
    url: &'static str,
    body: &'static str,
    kind: Option<&'static str>,
    session: Option<&'static str>,
    scope: Scope<'static>,
    now: u64,
}

const BEDROCK: Case = Case {
    method: "POST",
    url: "https://bedrock-runtime.us-east-1.amazonaws.com/model/anthropic.claude-sonnet-4-5-20250929-v1%3A0/converse",
    body: r#"{"messages":[]}"#,
    kind: Some("application/json"),
    session: None,
    scope: Scope { region: "us-east-1", service: "bedrock" },
    now: 1_790_000_000,
};

fn signed(case: &Case) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if let Some(kind) = case.kind {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    }
    // Not signed, and harmless: a proxy may change it.
    headers.insert("traceparent", HeaderValue::from_static("00-0-0-00"));
    let uri = case.url.parse().unwrap();
    let (one, two) = case.body.split_at(case.body.len() / 3);
    let body = [one.as_bytes(), two.as_bytes()];
    let unsigned = Unsigned { method: case.method, uri: &uri, body: &body };
    let keys = Keys { id: "AKIDEXAMPLE", secret: SECRET, session: case.session };
    sign(keys, case.scope, &unsigned, case.now, &mut headers).unwrap();
    headers
}

fn check(cases: &[(Case, &str, &str)]) {
    for (case, names, signature) in cases {
        let headers = signed(case);
        let date = headers[DATE].to_str().unwrap();
        let Scope { region, service } = case.scope;
        let expected = format!(
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/{}/{region}/{service}/aws4_request, SignedHeaders={names}, Signature={signature}",
            &date[..8]
        );
        assert_eq!(headers[AUTHORIZATION], expected, "{}", case.url);
        assert!(headers[AUTHORIZATION].is_sensitive());
    }
}

#[test]
fn requests_to_the_object_store_are_signed_in_its_own_way() {
    let cases = [
        (
            Case {
                method: "PUT",
                url: "https://our-bucket.s3.us-east-1.amazonaws.com/batches/trunkline-01ab/lines.jsonl",
                body: "{\"recordId\":\"a\"}\n",
                kind: Some("application/jsonl"),
                scope: Scope { region: "us-east-1", service: "s3" },
                ..BEDROCK
            },
            "content-type;host;x-amz-content-sha256;x-amz-date",
            "7893299a0159e4207e87a87635c8298a9a2d4a88280f5f3bb7bc8b124ca121d8",
        ),
        (
            Case {
                method: "GET",
                url: "http://127.0.0.1:8080/our.bucket?list-type=2&max-keys=1000&prefix=a%2Ftrunkline-01ab%2F",
                body: "",
                kind: None,
                session: Some(SESSION),
                scope: Scope { region: "eu-west-3", service: "s3" },
                now: 1_767_225_599,
            },
            "host;x-amz-content-sha256;x-amz-date;x-amz-security-token",
            "05ffc55275e1e583b3be0cce7f181267a1ad0ead2944d4567329f7481a82e962",
        ),
    ];
    check(&cases);
    let content = |case: &Case| signed(case).get(CONTENT).map(|content| content.to_str().unwrap().to_owned());
    assert_eq!(content(&BEDROCK), None);
    let put = content(&cases[0].0);
    assert_eq!(put.as_deref(), Some("ff6dc923c60750da5dac0c48ca4a147e7a10f808614d3c3678588c69212713e2"));
}

#[test]
fn signatures_are_the_known_ones() {
    let cases = [
        (
            BEDROCK,
            "content-type;host;x-amz-date",
            "076b7ac5d5b537eabfb0e290b41a663666f996afc759c72d2d43363e6d297844",
        ),
        (
            Case {
                url: "https://bedrock-runtime.eu-west-3.amazonaws.com/model/eu.amazon.nova-pro-v1%3A0/converse-stream",
                body: "{\"messages\":[{\"role\":\"user\",\"content\":[{\"text\":\"é漢\"}]}]}",
                session: Some(SESSION),
                scope: Scope { region: "eu-west-3", service: "bedrock" },
                now: 1_767_225_599,
                ..BEDROCK
            },
            "content-type;host;x-amz-date;x-amz-security-token",
            "f4c1182dfe6f7584a5f45320f9c3c32c91cd9cff6f96d3624968a36afbd35312",
        ),
        (
            Case {
                url: "https://bedrock-runtime.us-west-2.amazonaws.com/model/arn%3Aaws%3Abedrock%3Aus-west-2%3A123456789012%3Aapplication-inference-profile%2Fabc123/invoke",
                body: "{}",
                scope: Scope { region: "us-west-2", service: "bedrock" },
                now: 1_709_164_800,
                ..BEDROCK
            },
            "content-type;host;x-amz-date",
            "8c6b1c0edc8c39083a30558268042c7f4b01cec7ddc03d2adbcc32ae326c5807",
        ),
        (
            Case { url: "http://127.0.0.1:8080/model/m/count-tokens", body: "", now: 951_782_400, ..BEDROCK },
            "content-type;host;x-amz-date",
            "bdb03b8cf92aac37a91dd2002f4099862ca2729a0c6ec4f75ebca5bf3fff006d",
        ),
        (
            Case {
                method: "GET",
                url: "https://sts.amazonaws.com/?Version=2011-06-15&Action=GetCallerIdentity",
                body: "",
                kind: None,
                scope: Scope { region: "us-east-1", service: "sts" },
                now: 1_440_938_160,
                ..BEDROCK
            },
            "host;x-amz-date",
            "bf7e30cceae581ea22f5fcd38f36caf23994090eea970be4bee5de65334b2803",
        ),
        (
            // The example of AWS's own documentation.
            Case {
                method: "GET",
                url: "https://iam.amazonaws.com/?Action=ListUsers&Version=2010-05-08",
                body: "",
                kind: Some("application/x-www-form-urlencoded; charset=utf-8"),
                scope: Scope { region: "us-east-1", service: "iam" },
                now: 1_440_938_160,
                ..BEDROCK
            },
            "content-type;host;x-amz-date",
            "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7",
        ),
    ];
    check(&cases);
    assert_eq!(signed(&cases[1].0)[TOKEN], SESSION);
    assert!(signed(&cases[1].0)[TOKEN].is_sensitive());
}

#[test]
fn times_are_written_in_utc() {
    let cases = [
        (0, "19700101T000000Z"),
        (951_782_400, "20000229T000000Z"),
        (1_767_225_599, "20251231T235959Z"),
        (4_102_444_800, "21000101T000000Z"),
    ];
    for (unix, expected) in cases {
        assert_eq!(timestamp(unix), expected);
    }
}

#[test]
fn a_key_with_a_line_break_is_an_error_and_not_shown() {
    let uri: Uri = "https://example.com/".parse().unwrap();
    let unsigned = Unsigned { method: "POST", uri: &uri, body: &[] };
    let keys = Keys { id: "id\n", secret: "s", session: None };
    let error = sign(keys, BEDROCK.scope, &unsigned, 0, &mut HeaderMap::new()).unwrap_err();
    assert_eq!(error, SigningError::Unprintable);
}

proptest! {
    #[test]
    fn how_a_body_is_split_does_not_show(body in "[ -~]{0,60}", cuts in proptest::collection::vec(0usize..60, 0..4)) {
        let uri: Uri = "https://example.com/a%3Ab?x=1".parse().unwrap();
        let sign = |pieces: &[&[u8]]| {
            let mut headers = HeaderMap::new();
            let unsigned = Unsigned { method: "POST", uri: &uri, body: pieces };
            let keys = Keys { id: "id", secret: "s", session: None };
            super::sign(keys, BEDROCK.scope, &unsigned, 1, &mut headers).unwrap();
            headers[AUTHORIZATION].clone()
        };
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(body.len())).collect();
        cuts.sort_unstable();
        let mut pieces = Vec::new();
        let mut start = 0;
        for cut in cuts {
            pieces.push(&body.as_bytes()[start..cut]);
            start = cut;
        }
        pieces.push(&body.as_bytes()[start..]);
        prop_assert_eq!(sign(&pieces), sign(&[body.as_bytes()]));
    }
}
