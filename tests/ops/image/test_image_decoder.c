/*
 * ImageDecoder: every format and its variants, and files that are cut off or broken anywhere, which are empty images.
 * Formats whose library this machine lacks are passed over.
 */
#include "tests/ops/image/encoded_images.h"
#include "tests/support/random_tensor.h"
#include "tests/support/workbench.h"

#include <stdlib.h>

static const uint8_t pixels[] = {255, 0, 0, 0, 255, 0, 0, 0, 255, 10, 20, 30, 200, 100, 50, 255, 255, 255};

static const value *bytes_of(workbench *bench, const uint8_t *bytes, size_t size) {
  value *x = bench_make(bench, NORMA_UINT8, SHAPE((int64_t)size));
  if (size > 0) memcpy(x->tensor.data, bytes, size);
  return x;
}

static driver_call call_of(workbench *bench, const uint8_t *bytes, size_t size, const char *format) {
  driver_call call = CALL("ImageDecoder", 20, bytes_of(bench, bytes, size));
  call.attributes[0] = (attribute)DRIVER_TEXT("pixel_format", format);
  return call;
}

/* Whether the machine can read the file: its library is there. */
static bool is_readable(const uint8_t *bytes, size_t size) {
  workbench bench;
  bench_init(&bench);
  const driver_call call = call_of(&bench, bytes, size, "RGB");
  const bool readable = driver_run(&bench.driver, &call) != NORMA_ERROR_UNSUPPORTED;
  if (!readable) print_message("not tested here: %s\n", bench.driver.error.message);
  bench_finish(&bench);
  return readable;
}

/* As RGB, BGR and gray. */
static void check_image(const uint8_t *bytes, size_t size, int64_t height, int64_t width, const uint8_t *rgb) {
  workbench bench;
  const int64_t count = height * width;
  double colors[2][64], gray[32];
  if (!is_readable(bytes, size)) return;
  bench_init(&bench);
  assert_true(3 * count <= 64);
  for (int64_t i = 0; i < count; i++) {
    for (int c = 0; c < 3; c++) colors[0][3 * i + c] = colors[1][3 * i + 2 - c] = rgb[3 * i + c];
    gray[i] = floor(0.299 * rgb[3 * i] + 0.587 * rgb[3 * i + 1] + 0.114 * rgb[3 * i + 2] + 0.5);
  }
  driver_call call = call_of(&bench, bytes, size, "RGB");
  check_tensor(bench_run(&bench, &call), NORMA_UINT8, SHAPE(height, width, 3), colors[0]);
  call = call_of(&bench, bytes, size, "BGR");
  check_tensor(bench_run(&bench, &call), NORMA_UINT8, SHAPE(height, width, 3), colors[1]);
  call = call_of(&bench, bytes, size, "Grayscale");
  check_tensor(bench_run(&bench, &call), NORMA_UINT8, SHAPE(height, width, 1), gray);
  bench_finish(&bench);
}

#define CHECK_IMAGE(bytes) check_image(bytes, sizeof bytes, 2, 3, pixels)

static void formats_of_libraries(void **state) {
  static const uint8_t flat[] = {100, 150, 199, 100, 150, 199, 100, 150, 199,
                                 100, 150, 199, 100, 150, 199, 100, 150, 199};
  static const uint8_t white[] = {255, 255, 255, 255, 255, 255};
  (void)state;
  CHECK_IMAGE(encoded_png_rgb);
  CHECK_IMAGE(encoded_png_rgba);    /* transparency is left out */
  CHECK_IMAGE(encoded_png_16);      /* and gamma */
  CHECK_IMAGE(encoded_png_palette); /* with a transparent color */
  CHECK_IMAGE(encoded_webp);
  CHECK_IMAGE(encoded_tiff);
  CHECK_IMAGE(encoded_jp2);
  CHECK_IMAGE(encoded_j2k);
  check_image(encoded_jpeg, sizeof encoded_jpeg, 2, 3, flat);
  check_image(encoded_jpeg_cmyk, sizeof encoded_jpeg_cmyk, 1, 2, white);
}

/* ---------------------------------------------------------------------------------------------------------- anymaps */

static void anymaps(void **state) {
  static const char text[] =
      "P3 # a comment\n3\t2 #another\n255 255 0 0  0 255 0\n0 0 255\r10 20 30 200 100 50 255 255 255";
  static const char gray[] = "P2\n2 1\n15\n0 15", wide[] = "P5 2 1 65535\n\0\0\xFF\xFF", bits[] = "P1\n3 1\n1 01",
                    packed[] = "P4\n9 1\n\xAA\x80", color[] = "P6\n1 1\n255\n\x01\x02\x03";
  static const uint8_t levels[] = {0, 0, 0, 255, 255, 255}, of_bits[] = {0, 0, 0, 255, 255, 255, 0, 0, 0};
  uint8_t of_packed[27];
  (void)state;
  for (int i = 0; i < 27; i++) of_packed[i] = i / 3 % 2 ? 255 : 0;
  check_image((const uint8_t *)text, sizeof text - 1, 2, 3, pixels);
  check_image((const uint8_t *)gray, sizeof gray - 1, 1, 2, levels);
  check_image((const uint8_t *)wide, sizeof wide - 1, 1, 2, levels);
  check_image((const uint8_t *)bits, sizeof bits - 1, 1, 3, of_bits);
  check_image((const uint8_t *)packed, sizeof packed - 1, 1, 9, of_packed);
  check_image((const uint8_t *)color, sizeof color - 1, 1, 1, (const uint8_t[]){1, 2, 3});
}

/* ---------------------------------------------------------------------------------------------------------- bitmaps */

typedef struct bitmap {
  uint8_t bytes[512];
  size_t size;
} bitmap;

static void put(bitmap *map, uint32_t number, int bytes) { /* of more than 4, the rest is 0 */
  for (int i = 0; i < bytes; i++) map->bytes[map->size++] = (uint8_t)(i < 4 ? number >> 8 * i : 0);
}

/* The header of 3 x 2 pixels; `palette` of red, green, blue. */
static bitmap begin_bitmap(int header, int bits, uint32_t compression, int colors, const uint8_t *palette,
                           int32_t height) {
  bitmap map = {.size = 0};
  const bool has_masks = compression == 3;
  const uint32_t entry = header == 12 ? 3 : 4;
  put(&map, 'B' | 'M' << 8, 2);
  put(&map, 0, 8);
  put(&map, 14 + (uint32_t)header + (has_masks ? 12 : 0) + (uint32_t)colors * entry, 4);
  put(&map, (uint32_t)header, 4);
  put(&map, 3, header == 12 ? 2 : 4);
  put(&map, (uint32_t)height, header == 12 ? 2 : 4);
  put(&map, 1, 2);
  put(&map, (uint32_t)bits, 2);
  if (header >= 40) {
    put(&map, compression, 4);
    put(&map, 0, 12);
    put(&map, (uint32_t)colors, 4);
    put(&map, 0, header - 36);
  }
  for (int i = 0; i < colors; i++) {
    for (int c = 2; c >= 0; c--) put(&map, palette[3 * i + c], 1);
    if (entry == 4) put(&map, 0, 1);
  }
  return map;
}

static void put_bytes(bitmap *map, size_t count, const uint8_t *bytes) {
  memcpy(map->bytes + map->size, bytes, count);
  map->size += count;
}

#define PUT_BYTES(map, ...) put_bytes(map, sizeof((const uint8_t[]){__VA_ARGS__}), (const uint8_t[]){__VA_ARGS__})
#define CHECK_BITMAP(map)   check_image((map)->bytes, (map)->size, 2, 3, pixels)

static void bitmaps_with_palettes(void **state) {
  (void)state;
  for (int header = 12; header <= 40; header += 28) {
    bitmap map = begin_bitmap(header, 8, 0, 6, pixels, 2);
    if (header == 12) { /* its palette is always whole */
      map = begin_bitmap(12, 4, 0, 16,
                         (const uint8_t[48]){255, 0, 0, 0, 255, 0, 0, 0, 255, 10, 20, 30, 200, 100, 50, 255, 255, 255},
                         2);
      PUT_BYTES(&map, 0x34, 0x50, 0, 0, 0x01, 0x20, 0, 0);
    } else {
      PUT_BYTES(&map, 3, 4, 5, 0, 0, 1, 2, 0);
    }
    CHECK_BITMAP(&map);
  }
  bitmap map = begin_bitmap(40, 4, 0, 6, pixels, -2); /* from the top */
  PUT_BYTES(&map, 0x01, 0x20, 0, 0, 0x34, 0x50, 0, 0);
  CHECK_BITMAP(&map);
  map = begin_bitmap(40, 1, 0, 2, (const uint8_t[]){0, 0, 0, 9, 9, 9}, 2);
  PUT_BYTES(&map, 0x40, 0, 0, 0, 0xA0, 0, 0, 0);
  check_image(map.bytes, map.size, 2, 3, (const uint8_t[]){9, 9, 9, 0, 0, 0, 9, 9, 9, 0, 0, 0, 9, 9, 9, 0, 0, 0});
}

static void bitmaps_of_colors(void **state) {
  (void)state;
  bitmap map = begin_bitmap(40, 24, 0, 0, NULL, 2);
  PUT_BYTES(&map, 30, 20, 10, 50, 100, 200, 255, 255, 255, 0, 0, 0, 0, 0, 255, 0, 255, 0, 255, 0, 0);
  CHECK_BITMAP(&map); /* the padding of the last row is missing */
  map = begin_bitmap(40, 24, 0, 0, NULL, 2);
  PUT_BYTES(&map, 30, 20, 10, 50, 100, 200, 255, 255, 255, 0, 0, 0, 0, 0, 255, 0, 255, 0, 255, 0, 0, 0, 0, 0);
  CHECK_BITMAP(&map);
  map = begin_bitmap(124, 32, 0, 0, NULL, -2);
  for (int i = 0; i < 6; i++) PUT_BYTES(&map, pixels[3 * i + 2], pixels[3 * i + 1], pixels[3 * i], 77);
  CHECK_BITMAP(&map);
  map = begin_bitmap(40, 32, 3, 0, NULL, -2); /* masks: red lowest */
  put(&map, 0xFF, 4), put(&map, 0xFF00, 4), put(&map, 0xFF0000, 4);
  for (int i = 0; i < 6; i++) PUT_BYTES(&map, pixels[3 * i], pixels[3 * i + 1], pixels[3 * i + 2], 77);
  CHECK_BITMAP(&map);
  map = begin_bitmap(40, 16, 0, 0, NULL, -2); /* 5 bits each */
  put(&map, 0x7C00, 2), put(&map, 0x3E0, 2), put(&map, 0x1F, 2), put(&map, 0, 2);
  put(&map, 0, 2), put(&map, 0x7FFF, 2), put(&map, 1 << 5, 2), put(&map, 0, 2);
  check_image(map.bytes, map.size, 2, 3,
              (const uint8_t[]){255, 0, 0, 0, 255, 0, 0, 0, 255, 0, 0, 0, 255, 255, 255, 0, 8, 0});
}

static void bitmaps_of_runs(void **state) {
  (void)state;
  bitmap map = begin_bitmap(40, 8, 1, 6, pixels, 2);
  PUT_BYTES(&map, 0, 3, 3, 4, 5, 0, 0, 0, 1, 0, 1, 1, 9, 2, 0, 1); /* colors as they are; a run beyond the row */
  CHECK_BITMAP(&map);
  map = begin_bitmap(40, 4, 2, 6, pixels, 2);
  PUT_BYTES(&map, 2, 0x34, 1, 0x50, 0, 0, 0, 3, 0x01, 0x20, 0, 1);
  CHECK_BITMAP(&map);
  map = begin_bitmap(40, 8, 1, 6, pixels, 2);
  PUT_BYTES(&map, 0, 2, 1, 1, 1, 5, 0, 1); /* a move; the rest has the first color */
  check_image(map.bytes, map.size, 2, 3,
              (const uint8_t[]){255, 0, 0, 255, 255, 255, 255, 0, 0, 255, 0, 0, 255, 0, 0, 255, 0, 0});
}

/* ----------------------------------------------------------------------------------------------------- broken files */

/* Whatever it holds, it is an image, an empty one where it is broken, or too large. */
static void decode_anything(workbench *bench, const uint8_t *bytes, size_t size) {
  driver_call call = call_of(bench, bytes, size, "RGB");
  const norma_status status = driver_run(&bench->driver, &call);
  if (status == NORMA_OK) {
    const norma_tensor *y = &bench->driver.outputs[0].tensor;
    assert_int_equal(y->rank, 3);
    assert_int_equal(y->dims[0] == 0, y->dims[1] == 0);
    assert_int_equal(y->dims[2], 3);
  } else {
    assert_true(status == NORMA_ERROR_RUN || status == NORMA_ERROR_BUDGET || status == NORMA_ERROR_UNSUPPORTED);
    assert_true(strlen(bench->driver.error.message) > 0);
  }
  bench_clear(bench);
}

static void damage(const uint8_t *bytes, size_t size) {
  workbench bench;
  uint8_t *copy = malloc(size);
  if (!is_readable(bytes, size)) {
    free(copy);
    return;
  }
  bench_init(&bench);
  bench.driver.memory.limit = 1 << 26;
  for (size_t cut = 0; cut < size; cut++) decode_anything(&bench, bytes, cut);
  for (int round = 0; round < 600; round++) {
    memcpy(copy, bytes, size);
    for (int64_t k = random_int(&bench.seed, 1, 4); k > 0; k--)
      copy[random_int(&bench.seed, 0, (int64_t)size - 1)] = (uint8_t)random_of(&bench.seed, 0, 1, 0x7F, 0x80, 0xFF, 42);
    decode_anything(&bench, copy, size);
  }
  free(copy);
  bench_finish(&bench);
}

static void broken_files(void **state) {
  static const char text[] = "P3 3 2 255 255 0 0  0 255 0 0 0 255 10 20 30 200 100 50 255 255 255",
                    packed[] = "P4\n9 1\n\xAA\x80";
  (void)state;
  bitmap map = begin_bitmap(40, 8, 1, 6, pixels, 2);
  PUT_BYTES(&map, 0, 3, 3, 4, 5, 0, 0, 0, 0, 2, 0, 0, 1, 0, 1, 1, 9, 2, 0, 1);
  damage(map.bytes, map.size);
  map = begin_bitmap(40, 16, 3, 0, NULL, -2);
  put(&map, 0xF00, 4), put(&map, 0xF0, 4), put(&map, 0xF, 4);
  for (int i = 0; i < 8; i++) put(&map, 0x1234, 2);
  damage(map.bytes, map.size);
  damage((const uint8_t *)text, sizeof text - 1);
  damage((const uint8_t *)packed, sizeof packed - 1);
  damage(encoded_png_rgb, sizeof encoded_png_rgb);
  damage(encoded_png_palette, sizeof encoded_png_palette);
  damage(encoded_webp, sizeof encoded_webp);
  damage(encoded_tiff, sizeof encoded_tiff);
  damage(encoded_jp2, sizeof encoded_jp2);
  damage(encoded_jpeg, sizeof encoded_jpeg);
  damage(encoded_jpeg_cmyk, sizeof encoded_jpeg_cmyk);
}

static void check_broken(workbench *bench, const char *reason, const void *bytes, size_t size) {
  driver_call call = call_of(bench, bytes, size, "RGB");
  check_tensor(bench_run(bench, &call), NORMA_UINT8, SHAPE(0, 0, 3), NULL);
  if (!strstr(bench->driver.warning, reason)) fail_msg("expected \"%s\", got \"%s\"", reason, bench->driver.warning);
  call = call_of(bench, bytes, size, "Grayscale");
  check_tensor(bench_run(bench, &call), NORMA_UINT8, SHAPE(0, 0, 1), NULL);
  bench_clear(bench);
}

/* "If it can't decode for any reason (e.g. corrupted encoded stream, invalid format), it will return an empty matrix."
 * Sizes that a few bytes claim cost no memory; nothing is no image. */
static void what_cannot_be_decoded_is_empty(void **state) {
  static const char huge[] = "P6 999999999 999999999 255\n", none[] = "P5 0 5 255\n", wide[] = "P4 100000 9000\n1";
  workbench bench;
  (void)state;
  bench_init(&bench);
  check_broken(&bench, "cut off", huge, sizeof huge - 1);
  check_broken(&bench, "cut off", wide, sizeof wide - 1);
  check_broken(&bench, "0 x 5 pixels", none, sizeof none - 1);
  check_broken(&bench, "0 bytes are of no known format", NULL, 0);
  if (is_readable(encoded_png_rgb, sizeof encoded_png_rgb)) {
    uint8_t torn[sizeof encoded_png_rgb];
    memcpy(torn, encoded_png_rgb, sizeof torn);
    torn[45] ^= 0x55; /* within the first chunk of pixels */
    check_broken(&bench, "cannot be decoded", torn, sizeof torn);
    check_broken(&bench, "cannot be decoded", encoded_png_rgb, sizeof torn - 30); /* after rows were written */
  }
  bench_finish(&bench);
}

static void refusals(void **state) {
  workbench bench;
  (void)state;
  bench_init(&bench);
  bitmap map = begin_bitmap(40, 8, 1, 6, pixels, 0x7FFFFFFF);
  PUT_BYTES(&map, 0, 1);
  driver_call call = call_of(&bench, map.bytes, map.size, "RGB");
  bench_refuse(&bench, &call, NORMA_ERROR_RUN, "3 x 2147483647 pixels, more than 1 GiB");
  call = call_of(&bench, map.bytes, map.size, "YUV");
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "pixel_format is \"YUV\"");
  call = CALL("ImageDecoder", 20, bench_tensor(&bench, NORMA_UINT8, SHAPE(2, 2), NULL));
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "rank 2");
  bench_finish(&bench);
}

/* What a library would take for sizes that a header claims counts against the budget before the library is asked. */
static void libraries_keep_to_the_budget(void **state) {
  uint8_t tiles[sizeof encoded_j2k], large[sizeof encoded_jpeg];
  size_t frame = 0;
  workbench bench;
  (void)state;
  memcpy(tiles, encoded_j2k, sizeof tiles);
  tiles[10] = 117, tiles[11] = 48; /* 30000 x 2 tiles of one pixel */
  tiles[27] = tiles[31] = 1;
  bench_init(&bench);
  bench.driver.memory.limit = 1 << 26;
  if (is_readable(encoded_j2k, sizeof encoded_j2k)) {
    driver_call call = call_of(&bench, tiles, sizeof tiles, "RGB");
    assert_int_equal(driver_run(&bench.driver, &call), NORMA_ERROR_BUDGET);
    tiles[9] = 1;
    check_broken(&bench, "too many tiles", tiles, sizeof tiles);
  }
  memcpy(large, encoded_jpeg, sizeof large);
  while (frame + 8 < sizeof large && !(large[frame] == 0xFF && (large[frame + 1] & 0xFD) == 0xC0)) frame++;
  large[frame + 5] = large[frame + 7] = 12; /* some 3000 x 3000 pixels */
  if (is_readable(encoded_jpeg, sizeof encoded_jpeg)) {
    driver_call call = call_of(&bench, large, sizeof large, "RGB");
    assert_int_equal(driver_run(&bench.driver, &call), NORMA_ERROR_BUDGET);
  }
  bench_finish(&bench);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(formats_of_libraries),
      cmocka_unit_test(anymaps),
      cmocka_unit_test(bitmaps_with_palettes),
      cmocka_unit_test(bitmaps_of_colors),
      cmocka_unit_test(bitmaps_of_runs),
      cmocka_unit_test(broken_files),
      cmocka_unit_test(what_cannot_be_decoded_is_empty),
      cmocka_unit_test(refusals),
      cmocka_unit_test(libraries_keep_to_the_budget),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
