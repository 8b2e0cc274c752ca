#include "cli/oci/commands.h"

int main(int argc, char** argv) { return estiba::cli::oci::run_main(argc, argv); }
