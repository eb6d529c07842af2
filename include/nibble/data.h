// Data sets and preprocessing. A sample is a set of named tensors, with or without a label. Samples
// are decoded when they are read: memory does not grow with the data set.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "nibble/graph.h"
#include "nibble/progress.h"
#include "nibble/tensor.h"

#pragma GCC visibility push(default)
namespace nibble {

/// From a decoded image (bytes, interleaved, turned as its EXIF orientation says) to the network's
/// input, [C,H,W] or [H,W,C]: resize, crop, order of channels, then
/// x = (byte * scale - mean[c]) / std[c]. Stored as JSON in the ONNX metadata key
/// "nibble.preprocess".
/// Resizing is bilinear and antialiased: when an image is made smaller, the triangle filter widens
/// by the same factor, and each of the two passes rounds to bytes (as Pillow does; accuracy depends
/// on it). The longer side is truncated to whole pixels; a crop that leaves an odd margin rounds it
/// half to even. Grey is (19595 R + 38470 G + 7471 B + 32768) >> 16.
struct Preprocess {
  enum class Color : uint8_t { rgb, bgr, grey };
  Color color = Color::rgb;
  int resize_shorter =
      0;                  // 0: no resize; else the shorter side becomes this many pixels (bilinear)
  int resize_height = 0;  // both set: resize to exactly this, ignoring the aspect ratio
  int resize_width = 0;
  /// With resize_height and resize_width: the aspect ratio is kept (the image becomes
  /// round(h * r) x round(w * r) pixels, r = min(H / h, W / w)) and the rest, half of it (rounded
  /// down) above and to the left, is filled with the byte pad_value. What detectors call letterbox.
  bool letterbox = false;
  int pad_value = 114;  // in [0, 255], before scale, mean and std
  int crop_height = 0;  // 0: no crop; else the centre crop
  int crop_width = 0;
  float scale = 1.0F / 255.0F;
  std::vector<float> mean;  // one per channel; empty: 0
  std::vector<float> std;   // one per channel; empty: 1
  enum class Layout : uint8_t { chw, hwc };
  Layout layout = Layout::chw;  // of a sample
  bool operator==(const Preprocess&) const = default;
};
std::string to_json(const Preprocess& preprocess);
/// Throws Error{invalid_argument} naming an unknown key or a wrong value.
Preprocess preprocess_from_json(std::string_view json);
/// What a model says of its own preprocessing, if it does.
std::optional<Preprocess> stored_preprocess(const Graph& graph);
void store_preprocess(Graph& graph, const Preprocess& preprocess);

/// The states of a model that works through a sequence: by input, the output whose value after one
/// sample is the input's value for the next. Stored as JSON, {"input": "output"}, in the ONNX
/// metadata key "nibble.carry".
using Carry = std::map<std::string, std::string>;
/// Throws Error{invalid_model} if the entry is malformed or names what the model does not have.
Carry stored_carry(const Graph& graph);
/// Throws Error{invalid_argument} if a name is not of an input or output, or the two differ in type
/// or shape.
void store_carry(Graph& graph, const Carry& carry);

/// One tensor that every sample of a data set has.
struct Field {
  /// Of the model's input that it goes to. Empty: the only one, for the only input there is.
  std::string name = {};
  DType dtype = DType::f32;
  /// Of one sample, without a batch: [C,H,W] for images. A dimension of -1, or an unknown rank,
  /// where samples differ.
  Shape shape = {};
  bool operator==(const Field&) const = default;
};

/// A set of samples. Random access, thread-safe reads.
class Dataset {
 public:
  virtual ~Dataset() = default;
  virtual int64_t size() const = 0;
  /// What a sample consists of; at least one.
  virtual std::vector<Field> fields() const = 0;
  /// The tensors of sample `index`, preprocessed, one for each of fields(), of its type and shape.
  /// They may borrow the data set's memory. Throws Error{invalid_data} or {io}, naming the file.
  virtual std::vector<Tensor> sample(int64_t index) const = 0;

  /// How many classes the labels tell apart; 0: the samples have no labels.
  virtual int classes() const { return 0; }
  /// Empty if the classes have no names.
  virtual const std::vector<std::string>& class_names() const;
  /// In [0, classes()); only of a data set with labels.
  virtual int64_t label(int64_t index) const;
  /// What a model should answer to a sample, by the names of its outputs (empty: the first one).
  virtual std::vector<Field> target_fields() const { return {}; }
  virtual std::vector<Tensor> targets(int64_t index) const;
  /// Sample `index` does not follow on the one before it: where states are carried from sample to
  /// sample, they start anew.
  virtual bool starts_sequence(int64_t index) const { return index == 0; }

  /// "cifar/test: 5,000 samples, 10 classes".
  virtual std::string describe() const = 0;
  /// The file that sample `index` was read from; empty if all come from one.
  virtual std::string file_of(int64_t) const { return {}; }
  /// How the images were turned into samples, to be stored in a model trained or calibrated on
  /// them; none if the samples are not images.
  virtual std::optional<Preprocess> preprocess() const { return std::nullopt; }
};

/// A set whose samples are one f32 tensor each, all of one shape.
class RealDataset : public Dataset {
 public:
  /// Without the batch.
  virtual Shape sample_shape() const = 0;
  /// Writes sample `index` as sample_shape().elements() floats. Throws as sample() does.
  virtual void read(int64_t index, std::span<float> out) const = 0;

  std::vector<Field> fields() const override { return {{.shape = sample_shape()}}; }
  std::vector<Tensor> sample(int64_t index) const override;
};

/// The shape of samples that are one tensor each, all of one shape. Others: Error{invalid_data}
/// that names `data` and says what `user` ("training", say) needs.
Shape sample_shape(const Dataset& data, std::string_view user);

enum class Split : uint8_t { train, validation, test };

struct DataOptions {
  Split split = Split::test;
  /// None: the source's own. That is grey 1/16 for "digits", 1/255 for all others, rgb or grey as
  /// the images are; and, where `inputs` has one of images, its layout, its number of channels, and
  /// 1 for an input of bytes.
  std::optional<Preprocess> preprocess;
  /// The model's inputs and outputs, where there is a model, as it declares them: with the batch.
  std::vector<Field> inputs;
  std::vector<Field> outputs;
  /// By input of the model: what it gets, where the data do not say so by themselves: an array of
  /// the data under another name, or a file (.npy, or .pb: an ONNX TensorProto). A file with an
  /// array of exactly the input's shape is the same for every sample; another has one row per
  /// sample. "label" and "target:OUTPUT" are allowed as well.
  std::map<std::string, std::string> sources;
  /// Sound is cut into frames of so many points, `hop` apart (0: as many as `frame`). 0: as the
  /// model's input says; if that does not say, a file is a sample.
  int64_t frame = 0;
  int64_t hop = 0;
  /// Share of the training samples set aside as the validation split (chosen by `seed`, stratified
  /// by class). The split `train` never holds them. Ignored where the source has a validation part.
  double validation_share = 0.1;
  uint64_t seed = 0;
};

/// The fields `inputs` and `outputs` of DataOptions that `graph` says.
void describe_model(const Graph& graph, DataOptions& options);

/// Opens `spec`: "digits" (embedded), or files in one of the forms of docs/data.md; empty where all
/// inputs come from `options.sources`. A source without a test part serves its single part whole as
/// `test`, and divided as `train` and `validation` (without labels: the last samples are the
/// validation part). "digits" is always divided in the same way: 1,000 / 297 / 500. All images have
/// one shape: images of different sizes need a resize or a crop. What is held in memory: labels and
/// file names, what docs/data.md says of the rest. Bytes of .npy/.npz arrays ([N,H,W] or [N,H,W,C])
/// are preprocessed as images; other arrays are taken as they are. Arrays of the names of
/// `options.inputs` go to them. Throws Error{invalid_data} or {io}, naming the file.
std::unique_ptr<Dataset> open_dataset(const std::string& spec, const DataOptions& options);

/// View of chosen samples. An index out of range: Error{invalid_argument}.
std::unique_ptr<Dataset> subset(std::shared_ptr<const Dataset> dataset,
                                std::vector<int64_t> indices);
/// View of samples [begin, end), which are within the set.
std::unique_ptr<Dataset> slice(std::shared_ptr<const Dataset> dataset, int64_t begin, int64_t end);
/// The first `count` of a seeded permutation: a calibration set. All, if count <= 0 or more than
/// there are.
std::unique_ptr<Dataset> random_subset(std::shared_ptr<const Dataset> dataset, int64_t count,
                                       uint64_t seed);

/// Decodes samples [begin, begin+count) (or the given ones) into one [N,...] tensor for each field,
/// in parallel on `threads` threads (0: one per core), which are kept for the next batch. Throws
/// Error{invalid_data} naming the sample whose shape is not that of the others.
std::vector<Tensor> read_batch(const Dataset& dataset, std::span<const int64_t> indices,
                               int threads);
std::vector<Tensor> read_batch(const Dataset& dataset, int64_t begin, int64_t count, int threads);

/// .npy and .npz (the entry, or the only one).
Tensor load_npy(const std::filesystem::path& path);
Tensor load_npz(const std::filesystem::path& path, const std::string& entry = "");
void save_npy(const Tensor& tensor, const std::filesystem::path& path);

}  // namespace nibble
#pragma GCC visibility pop
