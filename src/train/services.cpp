#include "train/services.h"

#include "base/check.h"

namespace nibble {
namespace {

TrainServices& given() {
  static TrainServices services;
  return services;
}

}  // namespace

const TrainServices& train_services() {
  check(given().judge != nullptr && given().proportion != nullptr,
        "the module that measures gave its services");
  return given();
}

TrainServicesRegistration::TrainServicesRegistration(const TrainServices& services) {
  given() = services;
}

}  // namespace nibble
