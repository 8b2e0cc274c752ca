// StorageVersions and StorageVersionMigrations (pkg/apis/apiserverinternal and pkg/apis/storagemigration, validation/validation.go).
#pragma once
#include "apiserver/strategy.h"

namespace estiba::apiserver::storage_versions {

void validate_storage_version(Draft& draft);
void validate_storage_version_status(Draft& draft);
void validate_migration(Draft& draft);
void validate_migration_status(Draft& draft);

}  // namespace estiba::apiserver::storage_versions
