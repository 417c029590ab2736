//! The files of a profile.

use rstest::rstest;

use super::*;

/// Writes good files, lets a case spoil them, and returns what is wrong with them.
fn problem(spoil: impl FnOnce(&TempDir, &mut Tls)) -> String {
    let folder = TempDir::new().unwrap();
    let authority = Authority::new("the authority");
    let client = authority.sign(&params("client", &["client"]));
    let mut tls = Tls {
        cacert: Some(write(&folder, "ca.crt", &authority.pem)),
        cert: Some(write(&folder, "client.crt", &client.pem)),
        key: Some(write(&folder, "client.key", client.key.serialize_pem())),
        ..Tls::default()
    };
    spoil(&folder, &mut tls);
    match Cluster::new(profile("https://127.0.0.1:1", tls)) {
        Ok(_) => "nothing".to_owned(),
        Err(error) => {
            let code = error.code();
            let argument = error.argument().unwrap_or_default().to_owned();
            tidy(&format!("{argument}: {} [{code}]", error.in_one_line()), &folder)
        }
    }
}

#[test]
fn good_files_pass() {
    assert_eq!(problem(|_, _| {}), "nothing");
}

#[rstest]
#[case("", "cacert: the cacert file DIR/bad is not PEM [tls_bad_file]")]
#[case("garbage", "cacert: the cacert file DIR/bad is not PEM [tls_bad_file]")]
#[case(
    "-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n",
    "cacert: the cacert file DIR/bad is not PEM [tls_bad_file]"
)]
#[case(
    "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    "cacert: the cacert file DIR/bad holds a certificate that is damaged: number 1 [tls_bad_file]"
)]
#[case(
    "-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n",
    "cacert: the cacert file DIR/bad holds no certificate [tls_bad_file]"
)]
fn a_cacert_that_is_none(#[case] text: &str, #[case] message: &str) {
    assert_eq!(problem(|folder, tls| tls.cacert = Some(write(folder, "bad", text))), message);
}

#[test]
fn a_cacert_with_a_damaged_certificate_among_good_ones() {
    let good = Authority::new("the authority").pem;
    let bad = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let found = problem(|folder, tls| tls.cacert = Some(write(folder, "bad", format!("{good}{bad}"))));
    insta::assert_snapshot!(found, @"cacert: the cacert file DIR/bad holds a certificate that is damaged: number 2 [tls_bad_file]");
}

#[test]
fn a_cacert_in_der_says_how_to_convert_it() {
    let der = Authority::new("the authority").der;
    insta::assert_snapshot!(problem(|folder, tls| tls.cacert = Some(write(folder, "ca.der", &der))), @"cacert: the cacert file DIR/ca.der is not PEM but DER [tls_bad_file]");
}

#[test]
fn a_cacert_that_is_not_there() {
    insta::assert_snapshot!(problem(|folder, tls| tls.cacert = Some(folder.path().join("none"))), @"cacert: the cacert file DIR/none cannot be read: No such file or directory (os error 2) [tls_bad_file]");
}

#[test]
fn a_cacert_that_is_far_too_large() {
    let large = vec![b'x'; (1 << 20) + 1];
    insta::assert_snapshot!(problem(|folder, tls| tls.cacert = Some(write(folder, "large", &large))), @"cacert: the cacert file DIR/large is larger than 1 MiB, so it is not what it should be [tls_bad_file]");
}

#[test]
fn an_expired_authority_counts_only_when_there_is_no_other() {
    let old = Authority::with(expired(params("old", &[]))).pem;
    let new = Authority::new("new").pem;
    let both = format!("{old}{new}");
    insta::assert_snapshot!(problem(|folder, tls| tls.cacert = Some(write(folder, "old", &old))), @"cacert: the cacert file DIR/old holds a certificate that expired on 2021-01-01T00:00:00Z [tls_file_expired]");
    assert_eq!(problem(|folder, tls| tls.cacert = Some(write(folder, "both", &both))), "nothing");
}

#[test]
fn a_key_of_another_certificate_names_both_files() {
    let other = KeyPair::generate().unwrap().serialize_pem();
    insta::assert_snapshot!(problem(|folder, tls| tls.key = Some(write(folder, "other.key", &other))), @"key: the key file DIR/other.key holds the key of another certificate than DIR/client.crt [tls_key_mismatch]");
}

#[rstest]
#[case("-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n")]
#[case(
    "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n"
)]
fn an_encrypted_key(#[case] text: &str) {
    let found = problem(|folder, tls| tls.key = Some(write(folder, "bad.key", text)));
    assert_eq!(found, "key: the key file DIR/bad.key holds a key that is encrypted [tls_key_encrypted]");
}

#[test]
fn a_key_file_without_a_key() {
    let certificate = Authority::new("the authority").pem;
    insta::assert_snapshot!(problem(|folder, tls| tls.key = Some(write(folder, "bad.key", &certificate))), @"key: the key file DIR/bad.key holds no private key [tls_bad_file]");
}

#[test]
fn a_key_that_is_damaged() {
    let text = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    insta::assert_snapshot!(problem(|folder, tls| tls.key = Some(write(folder, "bad.key", text))), @"key: the key file DIR/bad.key holds a key that cannot be used: unexpected error: failed to parse private key as RSA, ECDSA, or EdDSA [tls_bad_file]");
}

#[test]
fn a_certificate_without_its_key_and_a_key_without_its_certificate() {
    insta::assert_snapshot!(problem(|_, tls| tls.key = None), @"cert: the cert file DIR/client.crt is of no use without the setting key [tls_bad_file]");
    insta::assert_snapshot!(problem(|_, tls| tls.cert = None), @"key: the key file DIR/client.key is of no use without the setting cert [tls_bad_file]");
}

#[test]
fn a_client_certificate_out_of_date_says_since_when() {
    let spoil = |params: CertificateParams| {
        problem(|folder, tls| {
            let client = Authority::new("the authority").sign(&params);
            tls.cert = Some(write(folder, "client.crt", &client.pem));
            tls.key = Some(write(folder, "client.key", client.key.serialize_pem()));
        })
    };
    insta::assert_snapshot!(spoil(expired(params("client", &[]))), @"cert: the cert file DIR/client.crt holds a certificate that expired on 2021-01-01T00:00:00Z [tls_file_expired]");
    let found = spoil(early(params("client", &[])));
    assert!(found.contains("is valid from 2222-01-01T00:00:00Z on; your clock says 2"), "{found}");
}

#[rstest]
#[case("00", "tls_pin: tls_pin is not a SHA-256 in hex [invalid_config]")]
#[case(&"00".repeat(32), "nothing")]
fn a_pin(#[case] pin: &str, #[case] message: &str) {
    assert_eq!(problem(|_, tls| tls.pin = Some(pin.to_owned())), message);
}

#[test]
fn a_server_name_that_is_none() {
    insta::assert_snapshot!(problem(|_, tls| tls.server_name = Some("not a name".to_owned())), @r#"server_name: server_name is "not a name", which is neither a host name nor an IP address [invalid_config]"#);
}

#[test]
fn certificates_for_a_plain_endpoint_are_refused() {
    let tls = Tls { pin: Some("00".repeat(32)), server_name: Some("a".to_owned()), ..Tls::default() };
    let error = Cluster::new(profile("http://127.0.0.1:1", tls)).err().unwrap();
    insta::assert_snapshot!(error, @"the endpoint http://127.0.0.1:1 is not encrypted, so server_name, tls_pin would be without effect");
    assert_eq!(error.code(), "plain_endpoint");
    assert_eq!(error.help().unwrap(), "write https://127.0.0.1:1, or leave these settings out");
}

#[rstest]
#[case("http://127.0.0.1:1", None)]
#[case("http://localhost:1", None)]
#[case("https://10.0.0.1:1", None)]
#[case("http://10.0.0.1:1", Some("plaintext_credentials"))]
fn a_password_crosses_the_network_only_encrypted(#[case] endpoint: &str, #[case] code: Option<&str>) {
    let password = crate::profile::Secret::new("hunter2".to_owned());
    let user = Some(crate::profile::User { name: "root".to_owned(), password });
    let made = Cluster::new(Profile { user, ..profile(endpoint, Tls::default()) });
    let error = made.err();
    assert_eq!(error.as_ref().map(crate::Error::code), code);
    assert!(!format!("{error:?}").contains("hunter2"));
}
