//! Buckets that carry lines up and results down.
//!
//! Owns what a configuration says of one, the places of objects in it, and the calls that put, list, fetch and delete them in the way
//! of each kind of store. Must not know what is in an object, nor sign anything. All objects of one handover stand in one folder that
//! has its mark in the name, so that a listing shows what it left behind, and nothing else in the bucket is ever touched. Source of the
//! stores' calls: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_Operations_Amazon_Simple_Storage_Service.html> and
//! <https://cloud.google.com/storage/docs/json_api/v1/objects>.

use super::form::{Carriage, encoded, is_plain, json};
use super::{BatchApi, BatchRequest, Service, TheirBatch, Unreadable, Upload};
use bytes::Bytes;
use http::{HeaderValue, Method};
use serde::Deserialize;

/// The longest prefix in a bucket, in characters; names of objects may have 1,024.
const LONGEST_PREFIX: usize = 500;
/// The name of the object that holds the lines.
const LINES: &str = "lines.jsonl";

/// What a preset says of the store its batch API reads from.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BatchStore {
    /// What kind of store it is.
    pub kind: StoreKind,
    /// Its address, `{region}` standing for the region that requests are signed for.
    pub url: String,
    /// The name under which requests to it are signed, where they are.
    pub service: Option<String>,
}

/// A kind of object store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StoreKind {
    /// Amazon S3, and what speaks its protocol.
    S3,
    /// Google Cloud Storage, by its JSON API.
    Gcs,
}

impl StoreKind {
    /// What addresses in it begin with.
    const fn scheme(self) -> &'static str {
        match self {
            Self::S3 => "s3://",
            Self::Gcs => "gs://",
        }
    }

    /// Whether the provider comes in a role that it is told; otherwise it comes as itself.
    const fn has_roles(self) -> bool {
        matches!(self, Self::S3)
    }
}

/// What an account says of its bucket.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BucketSettings {
    /// The bucket, and where in it: `s3://name/folder` or `gs://name/folder`.
    pub bucket: Option<String>,
    /// The role in which the provider reads and writes there.
    pub role: Option<String>,
    /// The store's address, where it is not the usual.
    pub url: Option<String>,
}

/// A mistake in [`BucketSettings`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BucketMistake {
    /// The setting; `None` for one that is missing.
    pub setting: Option<&'static str>,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub hint: String,
}

/// A bucket of the user, as the configuration names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bucket {
    name: String,
    /// What the names of all objects begin with: empty, or with a closing slash.
    prefix: String,
    /// Empty where there are none.
    role: String,
    url: Option<String>,
}

impl Bucket {
    /// Reads what an account says of its bucket.
    ///
    /// # Errors
    /// Settings that are missing or malformed.
    pub fn read(store: &BatchStore, settings: &BucketSettings) -> Result<Self, BucketMistake> {
        let scheme = store.kind.scheme();
        let needed = if store.kind.has_roles() { "`bucket` and `role`" } else { "a `bucket`" };
        let missing = |field: &str, example: &str| BucketMistake {
            setting: None,
            message: format!("`{field}` is missing: batches need {needed}"),
            hint: format!("add `{field}`, for example `{field}: \"{example}\"`"),
        };
        let bucket = settings
            .bucket
            .as_deref()
            .ok_or_else(|| missing("bucket", &format!("{scheme}our-bucket/batches")))?;
        let example = "arn:aws:iam::123456789012:role/batches";
        let role = match settings.role.as_deref() {
            Some(_) if !store.kind.has_roles() => {
                return Err(BucketMistake {
                    setting: Some("role"),
                    message: "this has no effect: the provider comes to the bucket as itself".to_owned(),
                    hint: "remove it, and let the provider's service agent read and write there".to_owned(),
                });
            }
            None if !store.kind.has_roles() => "",
            role => role.ok_or_else(|| missing("role", example))?,
        };
        let (name, prefix) = place(bucket, scheme).map_err(|problem| BucketMistake {
            setting: Some("bucket"),
            message: format!("`{bucket}` {problem}"),
            hint: format!("buckets are written `{scheme}name` or `{scheme}name/folder`"),
        })?;
        if store.kind.has_roles() && !is_role(role) {
            return Err(BucketMistake {
                setting: Some("role"),
                message: format!("`{role}` is not the name of a role"),
                hint: "roles are written `arn:aws:iam::123456789012:role/name`".to_owned(),
            });
        }
        let url = settings.url.as_deref().map(|url| url.trim_end_matches('/').to_owned());
        if let Some(url) = url.as_deref().filter(|url| !is_address(url)) {
            return Err(BucketMistake {
                setting: Some("url"),
                message: format!("`{url}` is not the address of a store"),
                hint: format!("addresses look like `{}`", store.url.replace("{region}", "us-east-1")),
            });
        }
        Ok(Self { name, prefix, role: role.to_owned(), url })
    }
}

/// The name of a bucket, and what the names of objects in it begin with; or what is wrong with a text.
fn place(text: &str, scheme: &str) -> Result<(String, String), String> {
    let rest = text.strip_prefix(scheme).ok_or_else(|| format!("does not begin with `{scheme}`"))?;
    let (name, folder) = rest.split_once('/').unwrap_or((rest, ""));
    let may_underline = scheme == StoreKind::Gcs.scheme();
    let is_letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let is_name = (3..=63).contains(&name.len())
        && name
            .bytes()
            .all(|byte| is_letter(byte) || matches!(byte, b'-' | b'.') || byte == b'_' && may_underline)
        && name.bytes().next().is_some_and(is_letter)
        && name.bytes().last().is_some_and(is_letter)
        && !name.contains("..");
    if !is_name {
        return Err(
            "has no name of a bucket (3 to 63 lower-case letters, digits, hyphens and dots)".to_owned()
        );
    }
    let folder = folder.strip_suffix('/').unwrap_or(folder);
    if folder.is_empty() {
        return Ok((name.to_owned(), String::new()));
    }
    if folder.len() > LONGEST_PREFIX || !folder.split('/').all(is_plain) {
        return Err(
            "has a folder with other signs than letters, digits, `-`, `_` and `.`, or a very long one"
                .to_owned(),
        );
    }
    Ok((name.to_owned(), format!("{folder}/")))
}

/// Whether a text has the form of a role's name, as the service's model gives it.
fn is_role(text: &str) -> bool {
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    let [arn, partition, service, region, account, role] = parts[..] else { return false };
    let is_partition = partition == "aws" || partition.starts_with("aws-");
    let is_account = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
    let name = role.strip_prefix("role/").unwrap_or_default();
    let is_name = !name.is_empty() && text.len() <= 2_048 && name.bytes().all(|byte| byte.is_ascii_graphic());
    arn == "arn" && is_partition && service == "iam" && region.is_empty() && is_account && is_name
}

fn is_address(url: &str) -> bool {
    let parsed: Result<http::Uri, _> = url.parse();
    parsed.is_ok_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https"))
            && uri.host().is_some_and(|host| !host.is_empty())
            && uri.query().is_none()
    })
}

/// A bucket within reach: where objects stand, and where they are listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reach {
    bucket: Bucket,
    kind: StoreKind,
    /// The address below which objects stand, without a closing slash.
    objects: String,
    /// The address at which they are listed.
    listing: String,
    /// The address at which they are made, where that is another than their own.
    uploading: String,
}

impl Reach {
    /// Reaches a bucket in a region; `None` where the region is needed and not known.
    pub(super) fn new(store: &BatchStore, bucket: &Bucket, region: Option<&str>) -> Option<Self> {
        let name = &bucket.name;
        let usual = || Some(store.url.replace("{region}", region?));
        let stated = bucket.url.clone();
        let (bucket, kind) = (bucket.clone(), store.kind);
        if kind == StoreKind::Gcs {
            let url = stated.unwrap_or_else(|| store.url.clone());
            let objects = format!("{url}/storage/v1/b/{name}/o");
            let uploading = format!("{url}/upload/storage/v1/b/{name}/o");
            return Some(Self { bucket, kind, listing: objects.clone(), objects, uploading });
        }
        let in_path = |url: String| (format!("{url}/{name}"), format!("{url}/{name}"));
        // A name with dots is no single label below the store's certificate; an address that was stated may know none of the names.
        let (objects, listing) = match stated {
            Some(url) => in_path(url),
            None if name.contains('.') => in_path(usual()?),
            None => {
                let url = usual()?;
                let (scheme, host) = url.split_once("://")?;
                let url = format!("{scheme}://{name}.{host}");
                (url.clone(), format!("{url}/"))
            }
        };
        Some(Self { bucket, kind, objects, listing, uploading: String::new() })
    }

    /// The role in which the provider comes.
    pub(super) fn role(&self) -> &str {
        &self.bucket.role
    }

    /// The folder of a handover's objects, with a closing slash.
    fn folder(&self, mark: &str) -> String {
        format!("{}trunkline-{mark}/", self.bucket.prefix)
    }

    /// The name of the object that holds a handover's lines.
    pub(super) fn lines(&self, mark: &str) -> String {
        format!("{}{LINES}", self.folder(mark))
    }

    /// The address of an object or a folder, as the provider is told it.
    pub(super) fn address(&self, name: &str) -> String {
        format!("{}{}/{name}", self.kind.scheme(), self.bucket.name)
    }

    /// The address of the folder of a handover's objects.
    pub(super) fn folder_address(&self, mark: &str) -> String {
        self.address(&self.folder(mark))
    }

    /// The name of the object at an address, if it is one in this bucket.
    pub(super) fn name(&self, address: &str) -> Option<String> {
        let name =
            address.strip_prefix(self.kind.scheme())?.strip_prefix(&*self.bucket.name)?.strip_prefix('/')?;
        self.is_ours(name).then(|| name.to_owned())
    }

    /// The call that writes a handover's lines.
    pub(super) fn put(&self, mark: &str, lines: &Bytes) -> Option<BatchRequest> {
        let name = self.lines(mark);
        let (method, put) = match self.kind {
            StoreKind::S3 => (Method::PUT, self.object(&name)?),
            StoreKind::Gcs => {
                let name = encoded(&name);
                (Method::POST, call(&format!("{}?uploadType=media&name={name}", self.uploading))?)
            }
        };
        let content_type = Some(HeaderValue::from_static("application/jsonl"));
        Some(BatchRequest { method, content_type, body: vec![lines.clone()], ..put })
    }

    /// The call that looks at an object; with another method, deletes it.
    pub(super) fn object(&self, name: &str) -> Option<BatchRequest> {
        if !self.is_ours(name) {
            return None;
        }
        match self.kind {
            // Letters of a name need no encoding, and what has others is none of ours.
            StoreKind::S3 => call(&format!("{}/{name}", self.objects)),
            StoreKind::Gcs => call(&format!("{}/{}", self.objects, encoded(name))),
        }
    }

    /// The call that fetches what is in an object.
    pub(super) fn fetch(&self, name: &str) -> Option<BatchRequest> {
        let look = self.object(name)?;
        match self.kind {
            StoreKind::S3 => Some(look),
            StoreKind::Gcs => call(&format!("{}?alt=media", look.uri)),
        }
    }

    /// The call that lists a handover's objects.
    pub(super) fn list(&self, mark: &str) -> Option<BatchRequest> {
        let prefix = encoded(&self.folder(mark));
        let page = match self.kind {
            StoreKind::S3 => "list-type=2&max-keys=1000",
            StoreKind::Gcs => "maxResults=1000",
        };
        call(&format!("{}?{page}&prefix={prefix}", self.listing))
    }

    /// The names in a listing of a handover's objects.
    pub(super) fn read_list(&self, body: &[u8], mark: &str) -> Result<Vec<String>, Unreadable> {
        let folder = self.folder(mark);
        let mut names = match self.kind {
            StoreKind::S3 => keys(body)?,
            StoreKind::Gcs => items(body)?,
        };
        names.retain(|name| name.starts_with(&folder) && self.is_ours(name));
        Ok(names)
    }

    /// Whether a name is one of an object that a handover may have: below the prefix, and of letters that lead nowhere else.
    fn is_ours(&self, name: &str) -> bool {
        let Some(rest) = name.strip_prefix(&*self.bucket.prefix) else { return false };
        // Where a name is encoded as a whole, times with colons may stand in it.
        let fits = |part: &str| match self.kind {
            StoreKind::S3 => is_plain(part),
            StoreKind::Gcs => is_plain(&part.replace(':', "-")),
        };
        rest.starts_with("trunkline-") && rest.split('/').all(fits)
    }
}

/// The names in a listing of S3.
fn keys(body: &[u8]) -> Result<Vec<String>, Unreadable> {
    let text = std::str::from_utf8(body).ok().filter(|text| text.contains("<ListBucketResult"));
    let text = text.ok_or_else(|| Unreadable("a listing that is none".to_owned()))?;
    let names = text.split("<Key>").skip(1).filter_map(|rest| Some(rest.split_once("</Key>")?.0));
    Ok(names.map(str::to_owned).collect())
}

/// The names in a listing of Cloud Storage.
fn items(body: &[u8]) -> Result<Vec<String>, Unreadable> {
    #[derive(Deserialize)]
    struct List {
        // What is empty is left out.
        #[serde(default)]
        items: Vec<Item>,
    }
    #[derive(Deserialize)]
    struct Item {
        name: String,
    }
    Ok(json::<List>(body)?.items.into_iter().map(|item| item.name).collect())
}

/// The bucket of an API.
pub(super) fn reach(api: &BatchApi) -> Option<&Reach> {
    api.bucket.as_ref()
}

/// Lines written into a bucket.
pub(super) struct IntoBucket;

impl Carriage for IntoBucket {
    fn upload(&self, api: &BatchApi, mark: &str, lines: &Bytes) -> Option<BatchRequest> {
        reach(api)?.put(mark, lines)
    }

    fn read_upload(&self, api: &BatchApi, mark: &str, _body: &[u8]) -> Result<Upload, Unreadable> {
        // The object stands where it was put.
        let bucket = reach(api).ok_or_else(|| Unreadable("an upload, and there is no bucket".to_owned()))?;
        Ok(Upload { id: bucket.lines(mark), is_ready: true })
    }

    fn uploads(&self, api: &BatchApi, mark: &str) -> Option<BatchRequest> {
        reach(api)?.list(mark)
    }

    fn read_uploads(&self, api: &BatchApi, body: &[u8], mark: &str) -> Result<Vec<String>, Unreadable> {
        reach(api).map_or_else(|| Ok(Vec::new()), |bucket| bucket.read_list(body, mark))
    }

    fn leaves_objects(&self) -> bool {
        true
    }
}

/// The batch with its input by its name in our bucket; one from elsewhere is none of ours.
pub(super) fn within(batch: TheirBatch, api: &BatchApi) -> TheirBatch {
    let input = batch.input.as_deref().zip(reach(api)).and_then(|(address, bucket)| bucket.name(address));
    TheirBatch { input, ..batch }
}

/// The objects of a batch, as calls to look at them.
pub(super) fn objects(api: &BatchApi, batch: &TheirBatch) -> Vec<BatchRequest> {
    let Some(bucket) = reach(api) else { return Vec::new() };
    let input = batch.input.iter().filter(|name| !batch.results.contains(name));
    batch.results.iter().chain(input).filter_map(|name| bucket.object(name)).collect()
}

fn call(address: &str) -> Option<BatchRequest> {
    Some(BatchRequest {
        service: Service::Store,
        method: Method::GET,
        uri: address.parse().ok()?,
        content_type: None,
        headers: &[],
        body: Vec::new(),
    })
}

/// What a store says of a call it refuses: its code and its words. Beside them its answers repeat what was signed, which is nobody's
/// business.
#[must_use]
pub fn store_refusal(body: &[u8]) -> Option<(String, String)> {
    #[derive(Deserialize)]
    struct Refused {
        error: Words,
    }
    #[derive(Deserialize)]
    struct Words {
        code: u16,
        message: String,
    }
    if let Ok(Refused { error }) = serde_json::from_slice(body) {
        return Some((error.code.to_string(), error.message.chars().take(300).collect()));
    }
    let text = String::from_utf8_lossy(body);
    let element = |name: &str| {
        let (_, rest) = text.split_once(&format!("<{name}>"))?;
        let (value, _) = rest.split_once(&format!("</{name}>"))?;
        Some(value.trim().chars().take(300).collect::<String>())
    };
    Some((element("Code")?, element("Message").unwrap_or_default()))
}

#[cfg(test)]
mod tests;
