#include "data/held.h"

#include <algorithm>

#include "base/check.h"
#include "data/array_set.h"
#include "data/image.h"
#include "data/records.h"
#include "data/samples.h"

namespace nibble {
namespace {

Array to_array(HeldArray held) {
  const auto* begin = static_cast<const uint8_t*>(held.tensor.raw());
  const std::span<const uint8_t> bytes(begin, held.tensor.bytes());
  const auto keep = std::make_shared<std::pair<Tensor, std::shared_ptr<const void>>>(
      held.tensor, std::move(held.owner));
  return {Bytes::share(bytes, keep), std::move(held.tensor),
          held.name.empty() ? "the samples" : std::move(held.name)};
}

Record to_record(std::vector<HeldArray> arrays, const DataOptions& options) {
  Record record;
  for (HeldArray& array : arrays) {
    record.push_back({.array = array.name.empty() ? "the sample" : array.name,
                      .role = array.name.empty() ? ArrayRole{} : role_of(array.name, options),
                      .dtype = array.tensor.dtype(),
                      .shape = array.tensor.shape(),
                      .tensor = std::move(array.tensor)});
  }
  return record;
}

Image to_image(const HeldArray& held) {
  const Shape& shape = held.tensor.shape();
  const bool fits =
      held.tensor.dtype() == DType::u8 && held.tensor.elements() > 0 &&
      (shape.rank() == 2 || (shape.rank() == 3 && (shape.dims()[2] == 1 || shape.dims()[2] == 3)));
  if (!fits) {
    fail(ErrorCode::invalid_data,
         "a picture is u8 [height, width] or [height, width, channels] of 1 or 3 channels, not {}",
         to_string(TensorType{.dtype = held.tensor.dtype(), .shape = shape}));
  }
  const auto* begin = static_cast<const uint8_t*>(held.tensor.raw());
  return {static_cast<int>(shape.dims()[0]), static_cast<int>(shape.dims()[1]),
          shape.rank() == 3 ? static_cast<int>(shape.dims()[2]) : 1,
          std::vector<uint8_t>(begin, begin + held.tensor.bytes())};
}

// A set that is not divided by itself.
std::unique_ptr<Dataset> open_whole(const std::string& name, std::shared_ptr<const Dataset> data,
                                    const DataOptions& options) {
  Source source{.name = name, .whole = true};
  source.parts[Split::train] = [data = std::move(data)] { return data; };
  return open_part(std::move(source), options);
}

class PictureSet : public Labelled<RealDataset> {
 public:
  PictureSet(Labels labels, const HeldPictures& pictures, const DataOptions& options)
      : Labelled(pictures.name, std::move(labels)),
        name_(pictures.name),
        read_(pictures.read),
        transform_(make_transform(options)) {}
  Shape sample_shape() const override { return transform_.output_shape(); }
  std::optional<Preprocess> preprocess() const override { return transform_.preprocess(); }
  void read(int64_t index, std::span<float> out) const override {
    with_context([&] { return fmt::format("{}, sample {}", name_, index); },
                 [&] { transform_.apply(to_image(read_(index)), out); });
  }

 private:
  ImageTransform make_transform(const DataOptions& options) const {
    return with_context([&] { return fmt::format("{}, sample 0", name_); },
                        [&] {
                          const Image first = to_image(read_(0));
                          return ImageTransform(
                              chosen_preprocess(default_preprocess(first.channels), options),
                              {first.height, first.width, first.channels});
                        });
  }

  std::string name_;
  std::function<HeldArray(int64_t)> read_;
  ImageTransform transform_;
};

Labels labels_of(HeldPictures& pictures) {
  if (pictures.labels.empty()) return Labels::none(pictures.count);
  if (static_cast<int64_t>(pictures.labels.size()) != pictures.count) {
    fail(ErrorCode::invalid_data, "{}: {} labels for {} pictures", pictures.name,
         pictures.labels.size(), pictures.count);
  }
  Labels labels = number_labels(pictures.labels, pictures.name);
  const auto named = static_cast<int>(pictures.class_names.size());
  if (named > 0 && named < labels.classes) {
    fail(ErrorCode::invalid_data, "{}: the label {} has no name; there are {}", pictures.name,
         labels.classes - 1, named);
  }
  labels.classes = std::max(labels.classes, named);
  labels.names = std::move(pictures.class_names);
  return labels;
}

}  // namespace

std::unique_ptr<Dataset> open_held_arrays(const std::string& name, std::vector<HeldArray> arrays,
                                          const DataOptions& options) {
  ArrayCollection collection{.name = name};
  const auto all = std::make_shared<const std::vector<HeldArray>>(std::move(arrays));
  for (const HeldArray& array : *all) collection.arrays.push_back(array.name);
  collection.load = [all](size_t index) { return to_array((*all)[index]); };
  return open_part(source_of_arrays(std::move(collection), options), options);
}

std::unique_ptr<Dataset> open_held_samples(HeldSamples samples, const DataOptions& options) {
  RecordSource records{.name = samples.name, .samples = samples.count};
  records.place = [name = samples.name](int64_t index) {
    return fmt::format("{}, sample {}", name, index);
  };
  records.read = [read = std::move(samples.read), options](int64_t index) {
    return to_record(read(index), options);
  };
  records.types = records.read;
  const std::string name = records.name;
  return open_whole(name, open_records(std::move(records)), options);
}

std::unique_ptr<Dataset> open_held_pictures(HeldPictures pictures, const DataOptions& options) {
  if (pictures.count == 0)
    fail(ErrorCode::invalid_data, "{}: there are no pictures", pictures.name);
  Labels labels = labels_of(pictures);
  const std::string name = pictures.name;
  return open_whole(name, std::make_shared<PictureSet>(std::move(labels), pictures, options),
                    options);
}

}  // namespace nibble
