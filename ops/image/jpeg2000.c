/* JPEG 2000, as a file (JP2) or a bare code stream, by OpenJPEG. */
#include "ops/image/image_decoding.h"

/* Of openjpeg.h. */
enum { OPJ_OWN_J2K = 0, OPJ_OWN_JP2 = 2, OPJ_OWN_SYCC = 3 };

typedef struct jpeg2000_component {
  uint32_t dx, dy, w, h, x0, y0, prec, bpp, sgnd, resno_decoded, factor;
  int32_t *data;
  uint16_t alpha;
} jpeg2000_component;

typedef struct jpeg2000_image {
  uint32_t x0, y0, x1, y1, numcomps;
  int color_space;
  jpeg2000_component *comps;
  uint8_t *icc_profile_buf;
  uint32_t icc_profile_len;
} jpeg2000_image;

typedef struct jpeg2000_functions {
  void *(*create)(int format);
  void (*destroy)(void *codec);
  void (*defaults)(void *parameters);
  int (*setup)(void *codec, void *parameters);
  void *(*open)(size_t buffer_size, int is_input);
  void (*close)(void *stream);
  void (*set_read)(void *stream, size_t (*read)(void *, size_t, void *));
  void (*set_skip)(void *stream, int64_t (*skip)(int64_t, void *));
  void (*set_seek)(void *stream, int (*seek)(int64_t, void *));
  void (*set_own)(void *stream, void *own, void (*release)(void *));
  void (*set_size)(void *stream, uint64_t size);
  int (*header)(void *stream, void *codec, jpeg2000_image **image);
  int (*decode)(void *codec, void *stream, jpeg2000_image *image);
  void (*free_image)(jpeg2000_image *image);
} jpeg2000_functions;

#define JPEG2000_SYMBOL(name, member)                                                                                  \
  { "opj_" name, offsetof(jpeg2000_functions, member) }

static const image_symbol jpeg2000_symbols[] = {
    JPEG2000_SYMBOL("create_decompress", create),
    JPEG2000_SYMBOL("destroy_codec", destroy),
    JPEG2000_SYMBOL("set_default_decoder_parameters", defaults),
    JPEG2000_SYMBOL("setup_decoder", setup),
    JPEG2000_SYMBOL("stream_create", open),
    JPEG2000_SYMBOL("stream_destroy", close),
    JPEG2000_SYMBOL("stream_set_read_function", set_read),
    JPEG2000_SYMBOL("stream_set_skip_function", set_skip),
    JPEG2000_SYMBOL("stream_set_seek_function", set_seek),
    JPEG2000_SYMBOL("stream_set_user_data", set_own),
    JPEG2000_SYMBOL("stream_set_user_data_length", set_size),
    JPEG2000_SYMBOL("read_header", header),
    JPEG2000_SYMBOL("decode", decode),
    JPEG2000_SYMBOL("image_destroy", free_image),
    {0},
};

#define JPEG2000_PARAMETERS 32768 /* bytes, more than its parameters take in any version (some 8,300) */

/* ----------------------------------------------------------------------------------------------------------- stream */

typedef struct jpeg2000_memory {
  const image_decoding *d;
  size_t at;
} jpeg2000_memory;

static size_t jpeg2000_read(void *to, size_t count, void *own) {
  jpeg2000_memory *file = own;
  const size_t left = file->d->size - file->at, some = count < left ? count : left;
  if (some == 0) return (size_t)-1;
  memcpy(to, file->d->bytes + file->at, some);
  file->at += some;
  return some;
}

static int64_t jpeg2000_skip(int64_t count, void *own) {
  jpeg2000_memory *file = own;
  const size_t left = file->d->size - file->at;
  if (count < 0) return -1;
  const size_t some = (uint64_t)count < left ? (size_t)count : left;
  file->at += some;
  return some == 0 && count > 0 ? -1 : (int64_t)some;
}

static int jpeg2000_seek(int64_t at, void *own) {
  jpeg2000_memory *file = own;
  if (at < 0 || (uint64_t)at > file->d->size) return 0;
  file->at = (size_t)at;
  return 1;
}

/* ----------------------------------------------------------------------------------------------------------- memory */

/* Of the library, for each tile, each component of each tile, and each sample. */
#define JPEG2000_TILE_BYTES      8192
#define JPEG2000_COMPONENT_BYTES 2048
#define JPEG2000_SAMPLE_BYTES    8
#define JPEG2000_SIZE_BYTES      42 /* from the marker of a code stream to the number of components */

static uint64_t jpeg2000_u32(const uint8_t *bytes) {
  return (uint64_t)bytes[0] << 24 | (uint64_t)bytes[1] << 16 | (uint64_t)bytes[2] << 8 | (uint64_t)bytes[3];
}

/* What a code stream that begins at `bytes` says of its tiles. */
static norma_status jpeg2000_reserve_tiles(image_decoding *d, const uint8_t *bytes) {
  const uint64_t right = jpeg2000_u32(bytes + 8), bottom = jpeg2000_u32(bytes + 12);
  const uint64_t width = jpeg2000_u32(bytes + 24), height = jpeg2000_u32(bytes + 28);
  const uint64_t left = jpeg2000_u32(bytes + 32), top = jpeg2000_u32(bytes + 36);
  const uint64_t components = (uint64_t)bytes[40] << 8 | bytes[41];
  if (width == 0 || height == 0 || left > right || top > bottom) return image_fail(d, "its tiles have no size");
  const uint64_t columns = (right - left + width - 1) / width, rows = (bottom - top + height - 1) / height;
  if (columns > 65535 || rows > 65535 || columns * rows > 65535) return image_fail(d, "it has too many tiles");
  return image_reserve(d, columns * rows, JPEG2000_TILE_BYTES + components * JPEG2000_COMPONENT_BYTES);
}

/* The library takes memory for tiles while it reads the header, as much as that says. Wherever the code stream begins,
 * its first bytes are these. */
static norma_status jpeg2000_reserve(image_decoding *d) {
  for (size_t at = 0; d->size - at >= JPEG2000_SIZE_BYTES; at++) {
    const uint8_t *found = memchr(d->bytes + at, 0xFF, d->size - at - (JPEG2000_SIZE_BYTES - 1));
    if (!found) break;
    at = (size_t)(found - d->bytes);
    if (memcmp(found, "\xFF\x4F\xFF\x51", 4) == 0) TRY(jpeg2000_reserve_tiles(d, found));
  }
  return NORMA_OK;
}

/* ----------------------------------------------------------------------------------------------------------- pixels */

/* Sample at a pixel of a component, which may have fewer of them, as 0 .. 255. */
static int jpeg2000_sample(const jpeg2000_component *component, int64_t x, int64_t y) {
  const int64_t column = x / component->dx, row = y / component->dy;
  if (column >= component->w || row >= component->h) return 0;
  int64_t sample = component->data[row * component->w + column];
  if (component->sgnd) sample += (int64_t)1 << (component->prec - 1);
  if (component->prec > 8) sample >>= component->prec - 8;
  if (component->prec < 8) sample = sample * 255 / (((int64_t)1 << component->prec) - 1);
  return sample < 0 ? 0 : sample > 255 ? 255 : (int)sample;
}

static uint8_t jpeg2000_limit(double value) {
  return value <= 0 ? 0 : value >= 255 ? 255 : (uint8_t)(value + 0.5);
}

static norma_status jpeg2000_convert(image_decoding *d, const jpeg2000_image *image) {
  const bool is_color = image->numcomps >= 3, is_ycc = is_color && image->color_space == OPJ_OWN_SYCC;
  for (uint32_t c = 0; c < (is_color ? 3u : 1u); c++) {
    const jpeg2000_component *component = &image->comps[c];
    if (!component->data || component->dx == 0 || component->dy == 0 || component->prec < 1 || component->prec > 31)
      return image_fail(d, "component %u has no samples", c);
  }
  for (int64_t y = 0; y < d->height; y++) {
    TRY(run_poll(d->context));
    for (int64_t x = 0; x < d->width; x++) {
      uint8_t *to = d->pixels + 3 * (y * d->width + x);
      int samples[3];
      for (int c = 0; c < 3; c++) samples[c] = jpeg2000_sample(&image->comps[is_color ? c : 0], x, y);
      if (is_ycc) {
        const double luma = samples[0], blue = samples[1] - 128, red = samples[2] - 128;
        to[0] = jpeg2000_limit(luma + 1.402 * red);
        to[1] = jpeg2000_limit(luma - 0.344136 * blue - 0.714136 * red);
        to[2] = jpeg2000_limit(luma + 1.772 * blue);
      } else {
        for (int c = 0; c < 3; c++) to[c] = (uint8_t)samples[c];
      }
    }
  }
  return NORMA_OK;
}

static norma_status jpeg2000_decode(image_decoding *d, const jpeg2000_functions *functions, void *codec, void *stream,
                                    jpeg2000_image **image) {
  void *parameters;
  TRY(run_allocate_temporary(d->context, JPEG2000_PARAMETERS, &parameters));
  functions->defaults(parameters);
  TRY(jpeg2000_reserve(d));
  if (!functions->setup(codec, parameters) || !functions->header(stream, codec, image) || !*image)
    return image_fail(d, "its header is broken");
  const jpeg2000_image *found = *image;
  if (found->numcomps < 1 || found->x1 <= found->x0 || found->y1 <= found->y0) return image_fail(d, "it has no pixels");
  TRY(image_begin(d, found->x1 - found->x0, found->y1 - found->y0));
  TRY(image_reserve(d, (uint64_t)(d->width * d->height), (uint64_t)found->numcomps * JPEG2000_SAMPLE_BYTES));
  if (!functions->decode(codec, stream, *image)) return image_fail(d, "its data are broken");
  return jpeg2000_convert(d, *image);
}

norma_status image_decode_jpeg2000(image_decoding *d) {
  static const char *const names[] = {"libopenjp2.so.7", "libopenjp2.so", "libopenjp2.dylib", NULL};
  jpeg2000_functions functions;
  jpeg2000_memory file = {.d = d};
  jpeg2000_image *image = NULL;
  TRY(image_library_open(d, "JPEG 2000", names, jpeg2000_symbols, &functions));
  void *codec = functions.create(d->bytes[0] == 0xFF ? OPJ_OWN_J2K : OPJ_OWN_JP2);
  void *stream = functions.open(65536, 1);
  norma_status status = NORMA_OK;
  if (!codec || !stream) {
    status = run_fail(d->context, NORMA_ERROR_OUT_OF_MEMORY, "no memory for a decoder");
  } else {
    functions.set_read(stream, jpeg2000_read);
    functions.set_skip(stream, jpeg2000_skip);
    functions.set_seek(stream, jpeg2000_seek);
    functions.set_own(stream, &file, NULL);
    functions.set_size(stream, d->size);
    status = jpeg2000_decode(d, &functions, codec, stream, &image);
  }
  if (image) functions.free_image(image);
  if (stream) functions.close(stream);
  if (codec) functions.destroy(codec);
  return status;
}
