//! The clouds whose metadata is one document or a few texts.

use super::{NONE, Route, found, pairs};

/// A detector, its service, more settings, and what is found.
type Case<'a> = (&'a str, &'static [Route], &'a str, &'a [(&'a str, &'a str)]);

#[tokio::test]
async fn clouds_say_where_a_machine_is() {
    static NOVA: [Route; 2] = [
        (
            "GET /openstack/latest/meta_data.json",
            NONE,
            r#"{"uuid": "o-1", "project_id": "p-1", "availability_zone": "nova", "hostname": "web.novalocal", "name": "web", "meta": {"team": "blue", "other": "x"}}"#,
        ),
        ("GET /latest/meta-data/instance-type", NONE, "m1.small"),
    ];
    static ORACLE: [Route; 1] = [(
        "GET /opc/v2/instance/",
        ("authorization", "Bearer Oracle"),
        r#"{"id": "ocid1.instance.oc1", "displayName": "web", "shape": "VM.Standard.E4.Flex", "canonicalRegionName": "us-ashburn-1", "availabilityDomain": "AD-1",
            "regionInfo": {"realmKey": "oc1"}, "metadata": {"oke-cluster-display-name": "blue", "ssh_authorized_keys": "x"}}"#,
    )];
    static DIGITALOCEAN: [Route; 1] = [(
        "GET /metadata/v1.json",
        NONE,
        r#"{"droplet_id": 2756294, "hostname": "web", "region": "nyc3", "dns": {}}"#,
    )];
    static AKAMAI: [Route; 2] = [
        (
            "PUT /v1/token",
            ("metadata-token-expiry-seconds", "300"),
            r#"["secret"]"#,
        ),
        (
            "GET /v1/instance",
            ("metadata-token", "secret"),
            r#"{"id": 7, "label": "web", "region": "us-ord", "type": "g6-standard-1", "account_euuid": "e-1", "image": {"id": "linode/debian13", "label": null}}"#,
        ),
    ];
    static HETZNER: [Route; 4] = [
        ("GET /hetzner/v1/metadata/instance-id", NONE, "42"),
        ("GET /hetzner/v1/metadata/hostname", NONE, "web"),
        ("GET /hetzner/v1/metadata/region", NONE, "eu-central"),
        (
            "GET /hetzner/v1/metadata/availability-zone",
            NONE,
            "hel1-dc2",
        ),
    ];
    static UPCLOUD: [Route; 1] = [(
        "GET /metadata/v1.json",
        NONE,
        r#"{"cloud_name": "upcloud", "instance_id": "u-1", "hostname": "web", "region": "fi-hel1"}"#,
    )];
    static VULTR: [Route; 1] = [(
        "GET /v1.json",
        NONE,
        r#"{"hostname": "web", "instanceid": "7", "instance-v2-id": "v-1", "region": {"regioncode": "EWR"}}"#,
    )];
    static SCALEWAY: [Route; 1] = [(
        "GET /conf?format=json",
        NONE,
        r#"{"id": "s-1", "name": "web", "organization": "org", "commercial_type": "DEV1-S", "location": {"zone_id": "fr-par-1"}, "image": {"id": "im-1", "name": "Debian"}}"#,
    )];
    const ALIBABA_TOKEN: (&str, &str) = ("x-aliyun-ecs-metadata-token", "secret");
    static ALIBABA: [Route; 8] = [
        (
            "PUT /latest/api/token",
            ("x-aliyun-ecs-metadata-token-ttl-seconds", "60"),
            "secret",
        ),
        ("GET /latest/meta-data/instance-id", ALIBABA_TOKEN, "i-1"),
        (
            "GET /latest/meta-data/owner-account-id",
            ALIBABA_TOKEN,
            "4711",
        ),
        (
            "GET /latest/meta-data/region-id",
            ALIBABA_TOKEN,
            "eu-central-1",
        ),
        (
            "GET /latest/meta-data/zone-id",
            ALIBABA_TOKEN,
            "eu-central-1a",
        ),
        ("GET /latest/meta-data/image-id", ALIBABA_TOKEN, "m-1"),
        ("GET /latest/meta-data/hostname", ALIBABA_TOKEN, "web"),
        (
            "GET /latest/meta-data/instance/instance-type",
            ALIBABA_TOKEN,
            "ecs.g7.large",
        ),
    ];
    static TENCENT: [Route; 7] = [
        ("GET /latest/meta-data/instance-id", NONE, "ins-1"),
        ("GET /latest/meta-data/app-id", NONE, "4711"),
        (
            "GET /latest/meta-data/placement/region",
            NONE,
            "ap-guangzhou",
        ),
        (
            "GET /latest/meta-data/placement/zone",
            NONE,
            "ap-guangzhou-3",
        ),
        ("GET /latest/meta-data/instance/image-id", NONE, "img-1"),
        ("GET /latest/meta-data/instance-name", NONE, "web"),
        (
            "GET /latest/meta-data/instance/instance-type",
            NONE,
            "S5.MEDIUM4",
        ),
    ];
    static VPC: [Route; 2] = [
        (
            "PUT /identity/v1/token?version=2026-01-30",
            ("metadata-flavor", "ibm"),
            r#"{"access_token": "secret", "expires_in": 300}"#,
        ),
        (
            "GET /metadata/v1/instance?version=2026-01-30",
            ("authorization", "Bearer secret"),
            r#"{"id": "0717", "crn": "crn:v1:bluemix:public:is:us-south-1:a/4711::instance:0717", "name": "web", "profile": {"name": "bx2-2x8"}, "zone": {"name": "us-south-1"}, "image": {"id": "r1", "name": "debian"}}"#,
        ),
    ];
    static CLASSIC: [Route; 5] = [
        (
            "GET /rest/v3.1/SoftLayer_Resource_Metadata/getId.txt",
            NONE,
            "7",
        ),
        (
            "GET /rest/v3.1/SoftLayer_Resource_Metadata/getAccountId.txt",
            NONE,
            "4711",
        ),
        (
            "GET /rest/v3.1/SoftLayer_Resource_Metadata/getDatacenter.txt",
            NONE,
            "dal13",
        ),
        (
            "GET /rest/v3.1/SoftLayer_Resource_Metadata/getGlobalIdentifier.txt",
            NONE,
            "g-1",
        ),
        (
            "GET /rest/v3.1/SoftLayer_Resource_Metadata/getHostname.txt",
            NONE,
            "web",
        ),
    ];
    static GCP: [Route; 1] = [(
        "GET /computeMetadata/v1/?recursive=true",
        ("metadata-flavor", "Google"),
        r#"{"project": {"projectId": "shop"}, "instance": {"id": 7123456789012345678, "name": "web", "hostname": "web.internal", "zone": "projects/1/zones/europe-west1-b", "machineType": "projects/1/machineTypes/e2-small", "attributes": {}}}"#,
    )];
    let cases: [Case<'_>; 13] = [
        (
            "nova",
            &NOVA,
            ", labels: ['^team$']",
            &[
                ("cloud.provider", "openstack"),
                ("cloud.platform", "openstack_nova"),
                ("cloud.account.id", "p-1"),
                ("cloud.availability_zone", "nova"),
                ("host.id", "o-1"),
                ("host.name", "web.novalocal"),
                ("host.type", "m1.small"),
                ("openstack.nova.meta.team", "blue"),
            ],
        ),
        (
            "oraclecloud",
            &ORACLE,
            "",
            &[
                ("cloud.provider", "oracle_cloud"),
                ("cloud.platform", "oracle_cloud_oke"),
                ("cloud.region", "us-ashburn-1"),
                ("cloud.availability_zone", "AD-1"),
                ("cloud.resource_id", "ocid1.instance.oc1"),
                ("host.id", "ocid1.instance.oc1"),
                ("host.name", "web"),
                ("host.type", "VM.Standard.E4.Flex"),
                ("k8s.cluster.name", "blue"),
                ("oracle_cloud.realm", "oc1"),
            ],
        ),
        (
            "digitalocean",
            &DIGITALOCEAN,
            "",
            &[
                ("cloud.provider", "digitalocean"),
                ("cloud.region", "nyc3"),
                ("host.id", "2756294"),
                ("host.name", "web"),
            ],
        ),
        (
            "akamai",
            &AKAMAI,
            "",
            &[
                ("cloud.provider", "akamai_cloud"),
                ("cloud.platform", "akamai_cloud.compute"),
                ("cloud.account.id", "e-1"),
                ("cloud.region", "us-ord"),
                ("host.id", "7"),
                ("host.image.id", "linode/debian13"),
                ("host.name", "web"),
                ("host.type", "g6-standard-1"),
            ],
        ),
        (
            "hetzner",
            &HETZNER,
            "",
            &[
                ("cloud.provider", "hetzner"),
                ("cloud.region", "eu-central"),
                ("cloud.availability_zone", "hel1-dc2"),
                ("host.id", "42"),
                ("host.name", "web"),
            ],
        ),
        (
            "upcloud",
            &UPCLOUD,
            "",
            &[
                ("cloud.provider", "upcloud"),
                ("cloud.region", "fi-hel1"),
                ("host.id", "u-1"),
                ("host.name", "web"),
            ],
        ),
        (
            "vultr",
            &VULTR,
            ", resource_attributes: {cloud.platform: {enabled: true}}",
            &[
                ("cloud.provider", "vultr"),
                ("cloud.platform", "vultr.cloud_compute"),
                ("cloud.region", "ewr"),
                ("host.id", "v-1"),
                ("host.name", "web"),
            ],
        ),
        (
            "scaleway",
            &SCALEWAY,
            "",
            &[
                ("cloud.provider", "scaleway_cloud"),
                ("cloud.platform", "scaleway_cloud_compute"),
                ("cloud.account.id", "org"),
                ("cloud.region", "fr-par"),
                ("cloud.availability_zone", "fr-par-1"),
                ("host.id", "s-1"),
                ("host.image.id", "im-1"),
                ("host.image.name", "Debian"),
                ("host.name", "web"),
                ("host.type", "DEV1-S"),
            ],
        ),
        (
            "alibaba_ecs",
            &ALIBABA,
            "",
            &[
                ("cloud.provider", "alibaba_cloud"),
                ("cloud.platform", "alibaba_cloud_ecs"),
                ("cloud.account.id", "4711"),
                ("cloud.region", "eu-central-1"),
                ("cloud.availability_zone", "eu-central-1a"),
                ("host.id", "i-1"),
                ("host.image.id", "m-1"),
                ("host.name", "web"),
                ("host.type", "ecs.g7.large"),
            ],
        ),
        (
            "tencent_cvm",
            &TENCENT,
            "",
            &[
                ("cloud.provider", "tencent_cloud"),
                ("cloud.platform", "tencent_cloud_cvm"),
                ("cloud.account.id", "4711"),
                ("cloud.region", "ap-guangzhou"),
                ("cloud.availability_zone", "ap-guangzhou-3"),
                ("host.id", "ins-1"),
                ("host.image.id", "img-1"),
                ("host.name", "web"),
                ("host.type", "S5.MEDIUM4"),
            ],
        ),
        (
            "ibmcloud_vpc",
            &VPC,
            "",
            &[
                ("cloud.provider", "ibm_cloud"),
                ("cloud.platform", "ibm_cloud.vpc"),
                ("cloud.account.id", "4711"),
                ("cloud.region", "us-south"),
                ("cloud.availability_zone", "us-south-1"),
                (
                    "cloud.resource_id",
                    "crn:v1:bluemix:public:is:us-south-1:a/4711::instance:0717",
                ),
                ("host.id", "0717"),
                ("host.image.id", "r1"),
                ("host.image.name", "debian"),
                ("host.name", "web"),
                ("host.type", "bx2-2x8"),
            ],
        ),
        (
            "ibmcloud_classic",
            &CLASSIC,
            "",
            &[
                ("cloud.provider", "ibm_cloud"),
                ("cloud.platform", "ibm_cloud.classic"),
                ("cloud.account.id", "4711"),
                ("cloud.availability_zone", "dal13"),
                ("cloud.resource_id", "g-1"),
                ("host.id", "7"),
                ("host.name", "web"),
            ],
        ),
        (
            "gcp",
            &GCP,
            ", resource_attributes: {gcp.gce.instance.hostname: {enabled: true}}",
            &[
                ("cloud.provider", "gcp"),
                ("cloud.platform", "gcp.compute_engine"),
                ("cloud.account.id", "shop"),
                ("cloud.region", "europe-west1"),
                ("cloud.availability_zone", "europe-west1-b"),
                ("gcp.gce.instance.hostname", "web.internal"),
                ("host.id", "7123456789012345678"),
                ("host.name", "web"),
                ("host.type", "e2-small"),
            ],
        ),
    ];
    for (name, routes, more, wanted) in cases {
        let yaml = format!("{name}: {{endpoint: 'http://{{address}}'{more}}}");
        let seen = found(name, routes, &yaml, &[]).await;
        assert_eq!(seen.unwrap(), pairs(wanted), "{name}");
        // Another cloud's address answers something else, or nothing.
        let other = found(name, &[], &yaml, &[]).await.unwrap_err();
        assert!(
            other.to_string().contains("answered 404"),
            "{name}: {other}"
        );
    }
}
