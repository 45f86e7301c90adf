#define NORMA_PYTHON_MODULE_C
#include "module.h"

#include <string.h>

/* setup(raise, as_array, find_dtype, blame, main thread): what the Python code of the package gives the module. */
static PyObject *module_setup(PyObject *module, PyObject *arguments) {
  module_state *state = PyModule_GetState(module);
  PyObject *given[4];
  unsigned long main_thread;
  if (!PyArg_ParseTuple(arguments, "OOOOk", &given[0], &given[1], &given[2], &given[3], &main_thread)) return NULL;
  PyObject **places[4] = {&state->raise, &state->as_array, &state->find_dtype, &state->blame};
  for (int i = 0; i < 4; i++) {
    PyObject *before = *places[i];
    Py_INCREF(given[i]);
    *places[i] = given[i];
    Py_XDECREF(before);
  }
  state->main_thread = main_thread;
  Py_RETURN_NONE;
}

static PyObject *module_after_fork(PyObject *module, PyObject *main_thread) {
  module_state *state = PyModule_GetState(module);
  state->fork_count++;
  state->main_thread = PyLong_AsUnsignedLong(main_thread);
  if (PyErr_Occurred()) return NULL;
  Py_RETURN_NONE;
}

static PyObject *module_version(PyObject *module, PyObject *arguments) {
  (void)module;
  (void)arguments;
  return PyUnicode_FromString(norma_version());
}

static PyObject *module_features(PyObject *module, PyObject *arguments) {
  (void)module;
  (void)arguments;
  return PyUnicode_FromString(norma_build_features());
}

/* know_dtype(element type): from now on arrays of its dtype are recognised. */
static PyObject *module_know_dtype(PyObject *module, PyObject *type) {
  const long number = PyLong_AsLong(type);
  if (PyErr_Occurred() || !arrays_dtype(PyModule_GetState(module), (norma_element_type)number)) return NULL;
  Py_RETURN_NONE;
}

/* [(name, bits, class)] by number. */
static PyObject *module_element_types(PyObject *module, PyObject *arguments) {
  (void)module;
  (void)arguments;
  PyObject *list = PyList_New(NORMA_ELEMENT_TYPE_COUNT);
  for (int i = 0; list && i < NORMA_ELEMENT_TYPE_COUNT; i++) {
    const norma_element_type type = (norma_element_type)i;
    PyObject *entry = Py_BuildValue("(sii)", norma_element_type_name(type), norma_element_type_bits(type),
                                    (int)norma_element_type_class(type));
    if (!entry || PyList_SetItem(list, i, entry) != 0) Py_CLEAR(list);
  }
  return list;
}

/* [(constant's name, text)] by number. */
static PyObject *module_statuses(PyObject *module, PyObject *arguments) {
  (void)module;
  (void)arguments;
  static const char *const names[] = {
#define MODULE_STATUS_NAME(constant, text) #constant,
      NORMA_STATUS_LIST(MODULE_STATUS_NAME)
#undef MODULE_STATUS_NAME
  };
  const int count = (int)(sizeof names / sizeof *names);
  PyObject *list = PyList_New(count);
  for (int i = 0; list && i < count; i++) {
    PyObject *entry = Py_BuildValue("(ss)", names[i], norma_status_text((norma_status)i));
    if (!entry || PyList_SetItem(list, i, entry) != 0) Py_CLEAR(list);
  }
  return list;
}

/* pack(bytes, element type), unpack(bytes, element type, count): for tests and for what is written to files. */
static PyObject *module_pack(PyObject *module, PyObject *arguments) {
  (void)module;
  const char *from;
  Py_ssize_t count;
  int type;
  if (!PyArg_ParseTuple(arguments, "y#i", &from, &count, &type)) return NULL;
  const int bits = norma_element_type_bits((norma_element_type)type);
  if (bits < 1 || bits > 7) return PyErr_Format(PyExc_ValueError, "element type %d is not packed", type);
  PyObject *bytes = PyBytes_FromStringAndSize(NULL, (count * bits + 7) / 8);
  if (bytes) {
    arrays_pack((const uint8_t *)from, count, (norma_element_type)type, (uint8_t *)PyBytes_AsString(bytes));
  }
  return bytes;
}

static PyObject *module_unpack(PyObject *module, PyObject *arguments) {
  (void)module;
  const char *from;
  Py_ssize_t size, count;
  int type;
  if (!PyArg_ParseTuple(arguments, "y#in", &from, &size, &type, &count)) return NULL;
  const int bits = norma_element_type_bits((norma_element_type)type);
  if (bits < 1 || bits > 7 || count < 0 || count > PY_SSIZE_T_MAX / 8 || (count * bits + 7) / 8 > size) {
    return PyErr_Format(PyExc_ValueError, "%zd bytes do not hold %zd elements of type %d", size, count, type);
  }
  PyObject *bytes = PyBytes_FromStringAndSize(NULL, count);
  if (bytes) {
    arrays_unpack((const uint8_t *)from, count, (norma_element_type)type, true, (uint8_t *)PyBytes_AsString(bytes));
  }
  return bytes;
}

static PyMethodDef module_methods[] = {
    {"setup", module_setup, METH_VARARGS, NULL},
    {"after_fork", module_after_fork, METH_O, NULL},
    {"know_dtype", module_know_dtype, METH_O, NULL},
    {"version", module_version, METH_NOARGS, NULL},
    {"features", module_features, METH_NOARGS, NULL},
    {"element_types", module_element_types, METH_NOARGS, NULL},
    {"statuses", module_statuses, METH_NOARGS, NULL},
    {"pack", module_pack, METH_VARARGS, NULL},
    {"unpack", module_unpack, METH_VARARGS, NULL},
    {"create_runtime", runtimes_create, METH_VARARGS, NULL},
    {"create_model", models_create, METH_VARARGS, NULL},
    {"create_session", sessions_create, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module_definition = {
    PyModuleDef_HEAD_INIT,
    "norma._norma",
    "What norma.h offers; see the package norma.",
    sizeof(module_state),
    module_methods,
    NULL,
    NULL,
    NULL,
    NULL,
};

static bool module_add_type(PyObject *module, const char *name, PyTypeObject *type, PyTypeObject **place) {
  *place = type;
  if (!type) return false;
  Py_INCREF(type);
  return PyModule_AddObject(module, name, (PyObject *)type) == 0;
}

PyMODINIT_FUNC PyInit__norma(void); /* which Python finds by its name */
PyMODINIT_FUNC PyInit__norma(void) {
  import_array();
  PyObject *module = PyModule_Create(&module_definition);
  if (!module) return NULL;
  module_state *state = PyModule_GetState(module);
  memset(state, 0, sizeof *state);
  state->empty = PyTuple_New(0);
  const bool is_good = state->empty && module_add_type(module, "Runtime", runtimes_make_type(), &state->runtime_type) &&
                       module_add_type(module, "Model", models_make_type(), &state->model_type) &&
                       module_add_type(module, "Session", sessions_make_type(), &state->session_type);
  if (!is_good) Py_CLEAR(module);
  return module;
}
