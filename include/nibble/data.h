// Data sets and preprocessing. Samples are decoded when they are read: memory does not grow with
// the data set.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "nibble/graph.h"
#include "nibble/progress.h"
#include "nibble/tensor.h"

namespace nibble {

/// From a decoded image (bytes, interleaved) to the network's input [C,H,W]: resize, crop, order of
/// channels, then x = (byte * scale - mean[c]) / std[c]. Stored as JSON in the ONNX metadata key
/// "nibble.preprocess".
struct Preprocess {
  enum class Color : uint8_t { rgb, bgr, grey };
  Color color = Color::rgb;
  int resize_shorter =
      0;                  // 0: no resize; else the shorter side becomes this many pixels (bilinear)
  int resize_height = 0;  // both set: resize to exactly this, ignoring the aspect ratio
  int resize_width = 0;
  int crop_height = 0;  // 0: no crop; else the centre crop
  int crop_width = 0;
  float scale = 1.0F / 255.0F;
  std::vector<float> mean;  // one per channel; empty: 0
  std::vector<float> std;   // one per channel; empty: 1
  bool operator==(const Preprocess&) const = default;
};
std::string to_json(const Preprocess& preprocess);
/// Throws Error{invalid_argument} naming an unknown key or a wrong value.
Preprocess preprocess_from_json(std::string_view json);
/// What a model says of its own preprocessing, if it does.
std::optional<Preprocess> stored_preprocess(const Graph& graph);
void store_preprocess(Graph& graph, const Preprocess& preprocess);

/// A set of labelled samples. Random access, thread-safe reads.
class Dataset {
 public:
  virtual ~Dataset() = default;
  virtual int64_t size() const = 0;
  /// Shape of one sample, without the batch: [C,H,W] for images.
  virtual Shape sample_shape() const = 0;
  virtual int classes() const = 0;
  /// Empty if the classes have no names.
  virtual const std::vector<std::string>& class_names() const = 0;
  virtual int64_t label(int64_t index) const = 0;
  /// Writes sample `index` as sample_shape().elements() floats, preprocessed. Throws
  /// Error{invalid_data} naming the file.
  virtual void read(int64_t index, std::span<float> out) const = 0;
  /// "cifar/test: 5,000 samples, 10 classes".
  virtual std::string describe() const = 0;
};

enum class Split : uint8_t { train, validation, test };

struct DataOptions {
  Split split = Split::test;
  Preprocess preprocess;
  /// Share of the training samples set aside as the validation split (chosen by `seed`, stratified
  /// by class).
  double validation_share = 0.1;
  uint64_t seed = 0;
};

/// Opens `spec`: "digits" (embedded), a folder of class folders with JPEG/PNG (train/ and test/ or
/// val/ inside where present), a folder with labels.csv, IDX files (a folder, gzipped or not),
/// CIFAR-10 binary, or X.npy,Y.npy / FILE.npz. A source without a test part serves its single part
/// for every split but `validation`, which is taken from it. Throws Error{invalid_data} or {io},
/// naming the file.
std::unique_ptr<Dataset> open_dataset(const std::string& spec, const DataOptions& options);

/// View of chosen samples.
std::unique_ptr<Dataset> subset(std::shared_ptr<const Dataset> dataset,
                                std::vector<int64_t> indices);
/// The first `count` of a seeded permutation: a calibration set. All, if count <= 0 or more than
/// there are.
std::unique_ptr<Dataset> random_subset(std::shared_ptr<const Dataset> dataset, int64_t count,
                                       uint64_t seed);

/// Decodes samples [begin, begin+count) (or the given ones) into one [N,...] tensor, in parallel.
Tensor read_batch(const Dataset& dataset, std::span<const int64_t> indices, int threads);
Tensor read_batch(const Dataset& dataset, int64_t begin, int64_t count, int threads);

/// .npy and .npz (the entry, or the only one).
Tensor load_npy(const std::filesystem::path& path);
Tensor load_npz(const std::filesystem::path& path, const std::string& entry = "");
void save_npy(const Tensor& tensor, const std::filesystem::path& path);

}  // namespace nibble
