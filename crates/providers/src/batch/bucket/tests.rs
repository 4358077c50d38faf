//! Where objects stand, whatever a bucket is called and wherever its store is.

use super::super::tests::bucket_of;
use super::*;
use proptest::prelude::*;

const ROLE: &str = "arn:aws:iam::123456789012:role/batches";

fn read(bucket_named: &str, role: &str, url: Option<&str>) -> Result<Bucket, BucketMistake> {
    let settings = BucketSettings {
        bucket: Some(bucket_named.to_owned()),
        role: Some(role.to_owned()),
        url: url.map(str::to_owned),
    };
    Bucket::read(&bucket_of(StoreKind::S3, None).0, &settings)
}

fn reach(bucket_named: &str, url: Option<&str>, region: Option<&str>) -> Option<Reach> {
    Reach::new(&bucket_of(StoreKind::S3, None).0, &read(bucket_named, ROLE, url).unwrap(), region)
}

#[test]
fn a_bucket_is_a_host_where_its_name_can_be_one() {
    let cases = [
        (
            "s3://our-bucket/a/b",
            None,
            "https://our-bucket.s3.eu-west-3.store.example/a/b/",
            "https://our-bucket.s3.eu-west-3.store.example/",
        ),
        (
            "s3://our-bucket",
            None,
            "https://our-bucket.s3.eu-west-3.store.example/",
            "https://our-bucket.s3.eu-west-3.store.example/",
        ),
        (
            "s3://our.bucket/a/",
            None,
            "https://s3.eu-west-3.store.example/our.bucket/a/",
            "https://s3.eu-west-3.store.example/our.bucket",
        ),
        (
            "s3://our-bucket",
            Some("http://127.0.0.1:9000/"),
            "http://127.0.0.1:9000/our-bucket/",
            "http://127.0.0.1:9000/our-bucket",
        ),
    ];
    for (name, url, objects, listing) in cases {
        let reach = reach(name, url, Some("eu-west-3")).unwrap();
        let put = reach.put("01ab", &Bytes::from_static(b"{}\n")).unwrap();
        assert_eq!(put.uri.to_string(), format!("{objects}trunkline-01ab/lines.jsonl"), "{name}");
        assert_eq!((put.method, put.service), (Method::PUT, Service::Store));
        let list = reach.list("01ab").unwrap().uri.to_string();
        assert!(list.starts_with(&format!("{listing}?list-type=2&")), "{list}");
        assert!(list.ends_with("trunkline-01ab%2F"), "{list}");
        let lines = reach.lines("01ab");
        assert_eq!(reach.name(&reach.address(&lines)).as_ref(), Some(&lines));
        assert_eq!(reach.object(&lines).unwrap().uri, put.uri);
    }
    assert_eq!(reach("s3://our-bucket", None, None), None, "nobody says in which region");
    assert!(reach("s3://our-bucket", Some("http://127.0.0.1:9000"), None).is_some());
}

#[test]
fn nothing_but_what_a_handover_left_is_ever_named() {
    let reach = reach("s3://our-bucket/batches", None, Some("us-east-1")).unwrap();
    for name in [
        "",
        "batches/",
        "batches/mine.jsonl",
        "trunkline-01ab/lines.jsonl",
        "batches/trunkline-01ab/../../mine",
        "batches/trunkline-01ab/a b",
        "batches/trunkline-01ab/a?b",
        "batches/trunkline-01ab//a",
    ] {
        assert_eq!(reach.object(name), None, "{name}");
        assert_eq!(reach.name(&format!("s3://our-bucket/{name}")), None, "{name}");
    }
    assert_eq!(reach.name("s3://another/batches/trunkline-01ab/lines.jsonl"), None);
    assert_eq!(reach.name("s3://our-bucket-2/batches/trunkline-01ab/lines.jsonl"), None);
    let listing = "<?xml version=\"1.0\"?>\n<ListBucketResult><Prefix>batches/trunkline-01ab/</Prefix>\
        <Contents><Key>batches/trunkline-01ab/lines.jsonl</Key></Contents>\
        <Contents><Key>batches/trunkline-01ab/job/lines.jsonl.out</Key></Contents>\
        <Contents><Key>batches/trunkline-02cd/lines.jsonl</Key></Contents>\
        <Contents><Key>batches/trunkline-01ab/&amp;</Key></Contents></ListBucketResult>";
    assert_eq!(
        reach.read_list(listing.as_bytes(), "01ab").unwrap(),
        ["batches/trunkline-01ab/lines.jsonl", "batches/trunkline-01ab/job/lines.jsonl.out"]
    );
    assert_eq!(reach.read_list(b"<ListBucketResult/>", "01ab").unwrap(), Vec::<String>::new());
    for wrong in [&b""[..], b"<html>", b"{}", b"\xff"] {
        assert!(reach.read_list(wrong, "01ab").is_err());
    }
}

#[test]
fn what_is_no_bucket_or_role_is_told() {
    let setting = |bucket, role, url| read(bucket, role, url).unwrap_err().setting;
    for bucket in [
        "our-bucket",
        "gs://our-bucket",
        "s3://",
        "s3://ab",
        "s3://Our-bucket",
        "s3://our..bucket",
        "s3://-bucket",
        "s3://our-bucket/a//b",
        "s3://our-bucket/../x",
        "s3://our-bucket/é",
    ] {
        assert_eq!(setting(bucket, ROLE, None), Some("bucket"), "{bucket}");
    }
    for role in [
        "",
        "batches",
        "arn:aws:iam::1234:role/x",
        "arn:aws:iam::123456789012:role/",
        "arn:aws:iam::123456789012:user/x",
        "arn:gcp:iam::123456789012:role/x",
        "arn:aws:iam:us:123456789012:role/x",
    ] {
        assert_eq!(setting("s3://our-bucket", role, None), Some("role"), "{role}");
    }
    for url in ["", "s3.local", "ftp://s3.local", "http://s3.local/?x=y", "http://"] {
        assert_eq!(setting("s3://our-bucket", ROLE, Some(url)), Some("url"), "{url}");
    }
    assert!(read("s3://our-bucket", "arn:aws-us-gov:iam::123456789012:role/a/b+c@d", None).is_ok());
}

#[test]
fn a_refusal_is_told_without_what_was_signed() {
    let body = "<?xml version=\"1.0\"?>\n<Error><Code>SignatureDoesNotMatch</Code><Message>It does not match.</Message>\
        <StringToSign>AWS4-HMAC</StringToSign><AWSAccessKeyId>AKID</AWSAccessKeyId></Error>";
    let told = ("SignatureDoesNotMatch".to_owned(), "It does not match.".to_owned());
    assert_eq!(store_refusal(body.as_bytes()), Some(told));
    assert_eq!(store_refusal(b"<html>"), None);
}

proptest! {
    #[test]
    fn nothing_listed_makes_it_panic_or_leads_elsewhere(text in ".{0,60}", key in "[a-z./<>-]{0,40}") {
        let reach = reach("s3://our-bucket/batches", None, Some("us-east-1")).unwrap();
        let listing = format!("<ListBucketResult>{text}<Key>batches/trunkline-01ab/{key}</Key>");
        for name in reach.read_list(listing.as_bytes(), "01ab").unwrap() {
            prop_assert!(reach.object(&name).unwrap().uri.path().starts_with("/batches/trunkline-01ab/"));
        }
        let _ = (reach.read_list(text.as_bytes(), "01ab"), store_refusal(text.as_bytes()), read(&text, &key, Some(&text)));
    }
}
