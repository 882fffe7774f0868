//! Server reflection: the services tell tools such as grpcurl what they take and return.

use tonic::service::Routes;
use tonic_reflection::server::Builder;

use super::status::SERVICES;

/// Adds reflection, of all services, in both of its versions.
pub fn add_to(routes: Routes) -> Routes {
    // What members say to each other is described too, but not served here.
    let describing = || {
        let described = Builder::configure().register_encoded_file_descriptor_set(pintle_proto::DESCRIPTORS);
        SERVICES.into_iter().fold(described, Builder::with_service_name)
    };
    match (describing().build_v1(), describing().build_v1alpha()) {
        (Ok(v1), Ok(v1alpha)) => routes.add_service(v1).add_service(v1alpha),
        (Err(error), _) | (_, Err(error)) => {
            tracing::error!(%error, "no reflection: the descriptors are broken");
            routes
        }
    }
}
