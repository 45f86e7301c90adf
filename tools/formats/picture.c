#include "tools/formats/picture.h"

#include "tools/formats/file_error.h"
#include "tools/formats/picture_codecs.h"
#include "tools/value_text.h"

#include <ctype.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

#ifdef NORMA_HAVE_PNG
#define PNG_FORMAT  "png, "
#define PNG_WITHOUT ""
#else
#define PNG_FORMAT  ""
#define PNG_WITHOUT "; built without png"
#endif
#ifdef NORMA_HAVE_JPEG
#define JPEG_FORMAT  "jpeg, "
#define JPEG_WITHOUT ""
#else
#define JPEG_FORMAT  ""
#define JPEG_WITHOUT "; built without jpeg"
#endif

const char *picture_formats(void) {
  return PNG_FORMAT JPEG_FORMAT "pnm" PNG_WITHOUT JPEG_WITHOUT;
}

typedef enum picture_format { FORMAT_NONE, FORMAT_PNG, FORMAT_JPEG, FORMAT_PNM, FORMAT_OTHER } picture_format;

static picture_format format_of(const unsigned char *bytes, size_t size, const char **name) {
  *name = "";
  if (size >= 8 && memcmp(bytes, "\x89PNG\r\n\x1A\n", 8) == 0) return FORMAT_PNG;
  if (size >= 3 && memcmp(bytes, "\xFF\xD8\xFF", 3) == 0) return FORMAT_JPEG;
  if (size >= 3 && bytes[0] == 'P' && strchr("2356", bytes[1]) && (isspace(bytes[2]) || bytes[2] == '#'))
    return FORMAT_PNM;
  if (size >= 12 && memcmp(bytes, "RIFF", 4) == 0 && memcmp(bytes + 8, "WEBP", 4) == 0) *name = "WebP";
  if (size >= 4 && (memcmp(bytes, "II*\0", 4) == 0 || memcmp(bytes, "MM\0*", 4) == 0)) *name = "TIFF";
  if (size >= 6 && memcmp(bytes, "GIF8", 4) == 0) *name = "GIF";
  if (size >= 14 && memcmp(bytes, "BM", 2) == 0 && memcmp(bytes + 6, "\0\0\0\0", 4) == 0) *name = "BMP";
  return **name ? FORMAT_OTHER : FORMAT_NONE;
}

bool picture_recognise(const void *bytes, size_t size) {
  const char *name;
  return format_of(bytes, size, &name) != FORMAT_NONE;
}

norma_status picture_allocate(norma_runtime *runtime, struct picture *picture, uint64_t width, uint64_t height,
                              int channels, norma_error *error) {
  /* Larger ones are no input of any model, and a small file can claim to be one. */
  if (width == 0 || height == 0 || width > 65535 || height > 65535 || width * height > 1u << 28) {
    return set_error(error, NORMA_ERROR_FORMAT, "a picture of %" PRIu64 " x %" PRIu64 " pixels is refused", width,
                     height);
  }
  const int64_t bytes = (int64_t)(width * height) * channels;
  norma_value *held;
  TRY(norma_value_allocate_tensor(runtime, NORMA_UINT8, 1, &bytes, &held, error));
  uint8_t *pixels = norma_value_tensor(held)->data;
  memset(pixels, 0, (size_t)bytes);
  *picture = (struct picture){(size_t)width, (size_t)height, channels, pixels, held};
  return NORMA_OK;
}

void picture_free(struct picture *picture) {
  norma_value_destroy(picture->held);
  *picture = (struct picture){0};
}

/* -------------------------------------------------------------------------------------------------------------- PNM */

/* The next number of a PNM header or of a plain one's pixels, past blanks and comments; -1 if there is none. */
static int64_t pnm_number(const unsigned char *bytes, size_t size, size_t *at) {
  while (*at < size && (isspace(bytes[*at]) || bytes[*at] == '#')) {
    if (bytes[*at] == '#') {
      while (*at < size && bytes[*at] != '\n') (*at)++;
    } else {
      (*at)++;
    }
  }
  if (*at == size || !isdigit(bytes[*at])) return -1;
  int64_t number = 0;
  for (; *at < size && isdigit(bytes[*at]); (*at)++) {
    number = number * 10 + (bytes[*at] - '0');
    if (number > 1 << 24) return -1;
  }
  return number;
}

static norma_status decode_pnm(norma_runtime *runtime, const unsigned char *bytes, size_t size, struct picture *picture,
                               norma_error *error) {
  size_t at = 2;
  bool plain = bytes[1] == '2' || bytes[1] == '3';
  int channels = bytes[1] == '3' || bytes[1] == '6' ? 3 : 1;
  int64_t width = pnm_number(bytes, size, &at), height = pnm_number(bytes, size, &at);
  int64_t maximum = pnm_number(bytes, size, &at);
  if (width < 1 || height < 1 || maximum < 1 || maximum > 65535) {
    return set_error(error, NORMA_ERROR_FORMAT, "damaged PNM picture: width, height or maximum is wrong");
  }
  at++; /* one blank ends the header */
  TRY(picture_allocate(runtime, picture, (uint64_t)width, (uint64_t)height, channels, error));
  size_t count = picture->width * picture->height * (size_t)channels, sample = maximum > 255 ? 2 : 1;
  bool good = plain || (at <= size && (size - at) / sample >= count);
  for (size_t i = 0; i < count && good; i++) {
    int64_t number;
    if (plain) {
      number = pnm_number(bytes, size, &at);
    } else {
      number = sample == 2 ? bytes[at] << 8 | bytes[at + 1] : bytes[at];
      at += sample;
    }
    good = number >= 0 && number <= maximum;
    if (good) picture->pixels[i] = (uint8_t)((number * 255 + maximum / 2) / maximum);
  }
  if (good) return NORMA_OK;
  picture_free(picture);
  return set_error(error, NORMA_ERROR_FORMAT, "damaged PNM picture: pixels are missing or larger than their maximum");
}

norma_status picture_decode(norma_runtime *runtime, const void *bytes, size_t size, struct picture *picture,
                            norma_error *error) {
  const char *name;
  *picture = (struct picture){0};
  switch (format_of(bytes, size, &name)) {
  case FORMAT_PNG:
#ifdef NORMA_HAVE_PNG
    return picture_decode_png(runtime, bytes, size, picture, error);
#else
    return set_error(error, NORMA_ERROR_UNSUPPORTED, "this program was built without PNG");
#endif
  case FORMAT_JPEG:
#ifdef NORMA_HAVE_JPEG
    return picture_decode_jpeg(runtime, bytes, size, picture, error);
#else
    return set_error(error, NORMA_ERROR_UNSUPPORTED, "this program was built without JPEG");
#endif
  case FORMAT_PNM:
    return decode_pnm(runtime, bytes, size, picture, error);
  case FORMAT_OTHER:
    return set_error(error, NORMA_ERROR_UNSUPPORTED, "%s pictures are not read; expected %s", name, picture_formats());
  case FORMAT_NONE:
    break;
  }
  return set_error(error, NORMA_ERROR_FORMAT, "not a picture; expected %s", picture_formats());
}

/* ----------------------------------------------------------------------------------------------------------- tensor */

/* Where a picture's height, width and channels stand among an input's dimensions. */
typedef struct placement {
  int height, width, channel; /* axes; channel -1: there is none */
  int channels;
} placement;

static bool is_channel_count(int64_t dim) {
  return dim == 1 || dim == 3;
}

/* `complete` is what is wanted, with all dimensions. */
static norma_status place(const struct picture *picture, const norma_value_info *wanted, placement *result,
                          norma_value_info *complete, norma_error *error) {
  char text[128];
  const char *declared = dims_text(wanted->rank, wanted->dims, text, sizeof text);
  *complete = *wanted;
  if (wanted->rank < 0) {
    complete->rank = 4;
    for (int i = 0; i < 4; i++) complete->dims[i] = -1;
  }
  const int rank = complete->rank;
  if (rank < 2 || rank > 4) {
    return set_error(error, NORMA_ERROR_INPUT, "a picture does not fit an input of shape %s; expected N x C x H x W",
                     declared);
  }
  int first = rank == 4 ? 1 : 0;
  if (rank == 2) {
    *result = (placement){0, 1, -1, 1};
  } else if (is_channel_count(complete->dims[rank - 1]) && !is_channel_count(complete->dims[first])) {
    *result = (placement){first, first + 1, rank - 1, 0};
  } else {
    *result = (placement){first + 1, first + 2, first, 0};
  }
  if (result->channel >= 0) {
    int64_t *channels = &complete->dims[result->channel];
    if (*channels < 0) *channels = picture->channels;
    if (!is_channel_count(*channels)) {
      return set_error(error, NORMA_ERROR_INPUT, "a picture has 1 or 3 channels, the input %" PRId64 " (shape %s)",
                       *channels, declared);
    }
    result->channels = (int)*channels;
  }
  if (rank == 4) {
    if (complete->dims[0] < 0) complete->dims[0] = 1;
    if (complete->dims[0] != 1) {
      return set_error(error, NORMA_ERROR_INPUT, "one picture does not fill an input of shape %s", declared);
    }
  }
  if (complete->dims[result->height] < 0) complete->dims[result->height] = (int64_t)picture->height;
  if (complete->dims[result->width] < 0) complete->dims[result->width] = (int64_t)picture->width;
  if (complete->dims[result->height] == 0 || complete->dims[result->width] == 0) {
    return set_error(error, NORMA_ERROR_INPUT, "a picture does not fit an input without elements");
  }
  return NORMA_OK;
}

/* One plane (or colour) of the picture, 0 to 255. */
static void read_plane(const struct picture *picture, int channels, int channel, float *plane) {
  size_t count = picture->width * picture->height;
  const uint8_t *pixel = picture->pixels;
  for (size_t i = 0; i < count; i++, pixel += picture->channels) {
    if (picture->channels == 1) {
      plane[i] = pixel[0];
    } else if (channels == 1) {
      /* in 1/65536, rounded, so that grey pixels keep their value */
      plane[i] = (float)((pixel[0] * 19595 + pixel[1] * 38470 + pixel[2] * 7471 + 32768) >> 16);
    } else {
      plane[i] = pixel[channel];
    }
  }
}

/* Resizes `lines` lines of `from` samples to `to` samples each. Sample i of a line stands at i * step from its start.
 */
static void resize_lines(const float *in, float *out, size_t lines, size_t line_in, size_t line_out, size_t from,
                         size_t to, size_t step) {
  double scale = (double)from / (double)to, support = scale > 1 ? scale : 1;
  for (size_t o = 0; o < to; o++) {
    double centre = ((double)o + 0.5) * scale;
    double lowest = floor(centre - support), highest = ceil(centre + support);
    size_t begin = lowest < 0 ? 0 : (size_t)lowest, end = highest > (double)from ? from : (size_t)highest;
    for (size_t line = 0; line < lines; line++) {
      double sum = 0, weights = 0;
      for (size_t i = begin; i < end; i++) {
        double distance = fabs((double)i + 0.5 - centre) / support;
        if (distance >= 1) continue;
        sum += (1 - distance) * in[line * line_in + i * step];
        weights += 1 - distance;
      }
      out[line * line_out + o * step] = (float)(sum / weights);
    }
  }
}

static void resize_plane(const float *in, size_t width_in, size_t height_in, float *across, float *out, size_t width,
                         size_t height) {
  resize_lines(in, across, height_in, width_in, width, width_in, width, 1);
  resize_lines(across, out, width, 1, 1, height_in, height, width);
}

/* Room for the planes of a picture on its way: as it is, across, and as it is wanted, one after the other. */
static norma_status allocate_planes(norma_runtime *runtime, size_t source, size_t across, size_t target,
                                    norma_value **planes, norma_error *error) {
  size_t all;
  if (__builtin_add_overflow(source, across, &all) || __builtin_add_overflow(all, target, &all) ||
      all > INT64_MAX / sizeof(float)) {
    return set_error(error, NORMA_ERROR_INPUT, "the input is too large for a picture");
  }
  const int64_t count = (int64_t)all;
  return norma_value_allocate_tensor(runtime, NORMA_FLOAT, 1, &count, planes, error);
}

/* One plane into the tensor, where channels stand first or last. */
static void store_plane(const norma_tensor *tensor, const placement *at, int channel, const float *plane,
                        size_t target) {
  enum { BLOCK = 256 };
  const bool is_float = norma_element_type_class(tensor->type) == NORMA_CLASS_FLOAT, last = at->channel > at->height;
  const size_t length = last ? 1 : BLOCK; /* neighbours in the plane that are neighbours in the tensor */
  norma_tensor result = *tensor;
  double numbers[BLOCK];
  for (size_t i = 0; i < target; i += length) {
    const size_t count = target - i < length ? target - i : length;
    const size_t index = last ? i * (size_t)at->channels + (size_t)channel : (size_t)channel * target + i;
    for (size_t k = 0; k < count; k++) {
      numbers[k] = is_float ? (double)plane[i + k] / 255 : floor(plane[i + k] + 0.5);
    }
    norma_tensor_set_doubles(&result, (int64_t)index, (int64_t)count, numbers);
  }
}

static bool takes_pictures(norma_element_type type) {
  return type == NORMA_UINT8 ||
         (norma_element_type_class(type) == NORMA_CLASS_FLOAT && norma_element_type_bits(type) >= 16);
}

norma_status picture_to_tensor(const struct picture *picture, norma_runtime *runtime, const norma_value_info *wanted,
                               norma_value **value, norma_error *error) {
  placement at = {0};
  norma_value_info complete;
  norma_value *held = NULL;
  *value = NULL;
  if (!takes_pictures(wanted->type)) {
    return set_error(error, NORMA_ERROR_INPUT,
                     "a picture does not fit an input of type %s; expected a float type or uint8",
                     norma_element_type_name(wanted->type));
  }
  TRY(place(picture, wanted, &at, &complete, error));
  TRY(norma_value_allocate_tensor(runtime, wanted->type, complete.rank, complete.dims, value, error));
  const size_t height = (size_t)complete.dims[at.height], width = (size_t)complete.dims[at.width];
  const size_t source = picture->width * picture->height, target = width * height; /* which the tensor has */
  const bool resized = width != picture->width || height != picture->height;
  size_t across = 0;
  norma_status status = NORMA_OK;
  if (resized && __builtin_mul_overflow(width, picture->height, &across)) across = SIZE_MAX;
  status = allocate_planes(runtime, source, across, resized ? target : 0, &held, error);
  if (status != NORMA_OK) {
    norma_value_destroy(*value);
    *value = NULL;
    return status;
  }
  float *planes = norma_value_tensor(held)->data, *plane = resized ? planes + source + across : planes;
  for (int c = 0; c < at.channels; c++) {
    read_plane(picture, at.channels, c, planes);
    if (resized) resize_plane(planes, picture->width, picture->height, planes + source, plane, width, height);
    store_plane(norma_value_tensor(*value), &at, c, plane, target);
  }
  norma_value_destroy(held);
  return NORMA_OK;
}
