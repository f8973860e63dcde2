/*
 * HDF5 filter 52797: any codec of numcodecs, which cd_values name by its configuration.
 *
 * numcodecs is written in Python, so that this works in processes that run Python, such as those
 * of h5py, and fails in others, such as h5dump, with a line on stderr. Nothing of Python is
 * linked: where it runs, its functions are found in the process.
 */
#define _GNU_SOURCE /* for RTLD_DEFAULT */
#include <dlfcn.h>
#include <stdio.h>

/* A checksum makes each chunk longer, and must not be left out for that. */
#define MAY_GROW 1
#include "plugin.h"

/* cd_values; the configuration follows, four bytes in each, the first one the lowest. */
enum { CD_SIZE, CD_NUMPY_DTYPE, CD_NUM_CHANNELS, CD_CHUNK_BYTES, CD_CONFIGURATION };

static const char *const NUMPY_DTYPES[] = {"<i2", "<u2", "i1",  "u1",  "<i4",
                                           "<u4", "<i8", "<u8", "<f4", "<f8"};
enum { NUM_DTYPES = sizeof(NUMPY_DTYPES) / sizeof(NUMPY_DTYPES[0]) };

/*
 * What is done in Python. Some codecs run what they find in a file, so n1store says which ones a
 * file may name.
 */
static const char MODULE[] = "_n1store_hdf5_numcodecs";
static const char SOURCE[] =
    "import functools, json, sys\n"
    "\n"
    "@functools.lru_cache(maxsize=64)\n"
    "def codec_of(configuration):\n"
    "    settings = json.loads(configuration)\n"
    "    import numcodecs\n"
    "    from n1store.codecs import allowed\n"
    "    allowed.check(settings)\n"
    "    return numcodecs.get_codec(settings)\n"
    "\n"
    "def run(decoding, configuration, dtype, num_channels, chunk_bytes, content):\n"
    "    try:\n"
    "        codec = codec_of(configuration)\n"
    "        import numpy\n"
    "        from numcodecs.compat import ensure_ndarray\n"
    "        if decoding:\n"
    "            result = codec.decode(content)\n"
    "        else:\n"
    "            chunk = numpy.frombuffer(content, dtype)\n"
    "            result = codec.encode(chunk.reshape(-1, num_channels) if num_channels else chunk)\n"
    "        values = ensure_ndarray(result)\n"
    "        if values.dtype.hasobject:\n"
    "            raise TypeError('it gives objects')\n"
    "        if decoding and chunk_bytes not in (0, values.nbytes):\n"
    "            raise ValueError(f'holds {values.nbytes} bytes instead of {chunk_bytes}')\n"
    "        return values.tobytes()\n"
    "    except KeyboardInterrupt:\n"
    "        raise\n"
    "    except BaseException as error:\n"
    "        text = configuration.decode(errors='replace')\n"
    "        words = ' '.join(str(error).split()) or type(error).__name__\n"
    "        print(f'n1store: HDF5 filter 52797: codec {ascii(text)[1:-1]}: {words}',\n"
    "              file=sys.stderr)\n";

/* The functions of Python that are needed, as its stable ABI has them. */
typedef struct object object;
typedef ptrdiff_t ssize;

typedef struct {
    int (*is_initialized)(void);
    int (*gil_ensure)(void);
    void (*gil_release)(int state);
    void (*err_fetch)(object **type, object **value, object **traceback);
    void (*err_restore)(object *type, object *value, object *traceback);
    void (*err_clear)(void);
    int (*err_matches)(object *type);
    void (*set_interrupt)(void);
    object *(*add_module)(const char *name);
    object *(*module_dict)(object *module);
    object *(*dict_get)(object *dict, const char *key);
    object *(*compile)(const char *source, const char *file, int start);
    object *(*eval)(object *code, object *globals, object *locals);
    object *(*call)(object *function, const char *format, ...);
    object *(*bytes)(const char *data, ssize size);
    int (*bytes_content)(object *bytes, char **data, ssize *size);
    void (*decref)(object *any);
    object **keyboard_interrupt;
} python;

enum { FILE_INPUT = 257 }; /* Py_file_input */

/* Finds Python in this process; returns 0 if there is none that runs. */
static int find_python(python *py) {
    const struct {
        void *to;
        const char *name;
    } symbols[] = {
        {&py->is_initialized, "Py_IsInitialized"},
        {&py->gil_ensure, "PyGILState_Ensure"},
        {&py->gil_release, "PyGILState_Release"},
        {&py->err_fetch, "PyErr_Fetch"},
        {&py->err_restore, "PyErr_Restore"},
        {&py->err_clear, "PyErr_Clear"},
        {&py->err_matches, "PyErr_ExceptionMatches"},
        {&py->set_interrupt, "PyErr_SetInterrupt"},
        {&py->add_module, "PyImport_AddModule"},
        {&py->module_dict, "PyModule_GetDict"},
        {&py->dict_get, "PyDict_GetItemString"},
        {&py->compile, "Py_CompileString"},
        {&py->eval, "PyEval_EvalCode"},
        {&py->call, "PyObject_CallFunction"},
        {&py->bytes, "PyBytes_FromStringAndSize"},
        {&py->bytes_content, "PyBytes_AsStringAndSize"},
        {&py->decref, "Py_DecRef"},
        {&py->keyboard_interrupt, "PyExc_KeyboardInterrupt"},
    };
    for (size_t i = 0; i < sizeof(symbols) / sizeof(symbols[0]); i++) {
        void *symbol = dlsym(RTLD_DEFAULT, symbols[i].name);
        if (symbol == NULL) return 0;
        memcpy(symbols[i].to, &symbol, sizeof(symbol));
    }
    return py->is_initialized();
}

/* Returns the function `run` of SOURCE, borrowed; NULL with a Python error set if it fails. */
static object *function_run(const python *py) {
    /* Kept by the interpreter, so that it is gone when that ends. */
    object *module = py->add_module(MODULE);
    object *names = module == NULL ? NULL : py->module_dict(module);
    if (names == NULL) return NULL;
    object *run = py->dict_get(names, "run");
    if (run != NULL) return run;
    object *code = py->compile(SOURCE, MODULE, FILE_INPUT);
    if (code == NULL) return NULL;
    object *done = py->eval(code, names, names);
    py->decref(code);
    if (done == NULL) return NULL;
    py->decref(done);
    return py->dict_get(names, "run");
}

/* Returns what `bytes` hold; failure also if it is something else, such as None. */
static buffer copy_of(const python *py, object *bytes) {
    char *data;
    ssize size;
    if (py->bytes_content(bytes, &data, &size) != 0) {
        py->err_clear();
        return FAILURE;
    }
    const buffer result = allocate((size_t)size);
    if (result.data != NULL) memcpy(result.data, data, (size_t)size);
    return result;
}

/* The lock of Python is held. The content is copied, as Python may keep what it was given. */
static buffer run_in_python(const python *py, int decoding, const uint8_t *data, size_t size,
                            size_t cd_nelmts, const unsigned cd_values[]) {
    static const char *const ANY = "u1";
    const unsigned dtype = cd_values[CD_NUMPY_DTYPE];
    const size_t values = cd_nelmts - CD_CONFIGURATION;
    uint8_t *text = malloc(4 * values + 1);
    if (text == NULL) return FAILURE;
    for (size_t i = 0; i < 4 * values; i++) {
        text[i] = (uint8_t)(cd_values[CD_CONFIGURATION + i / 4] >> (8 * (i % 4)));
    }
    buffer result = FAILURE;
    object *run = function_run(py);
    object *configuration = py->bytes((const char *)text, (ssize)cd_values[CD_SIZE]);
    object *content = py->bytes((const char *)data, (ssize)size);
    if (run != NULL && configuration != NULL && content != NULL) {
        object *bytes = py->call(run, "iOsIIO", decoding, configuration,
                                 dtype < NUM_DTYPES ? NUMPY_DTYPES[dtype] : ANY,
                                 cd_values[CD_NUM_CHANNELS], cd_values[CD_CHUNK_BYTES], content);
        if (bytes != NULL) {
            result = copy_of(py, bytes);
            py->decref(bytes);
        } else if (py->err_matches(*py->keyboard_interrupt)) {
            /* HDF5 knows failure only; what Python runs next is interrupted. */
            py->err_clear();
            py->set_interrupt();
        }
    }
    py->err_clear();
    if (configuration != NULL) py->decref(configuration);
    if (content != NULL) py->decref(content);
    free(text);
    return result;
}

static buffer run(int decoding, const uint8_t *data, size_t size, size_t cd_nelmts,
                  const unsigned cd_values[]) {
    if (cd_nelmts < CD_CONFIGURATION || size > PTRDIFF_MAX) return FAILURE;
    if (cd_values[CD_SIZE] > 4 * (cd_nelmts - CD_CONFIGURATION)) return FAILURE;
    python py;
    if (!find_python(&py)) {
        fputs("n1store: HDF5 filter 52797 works only in a process that runs Python with numcodecs, "
              "such as one of h5py\n",
              stderr);
        return FAILURE;
    }
    const int state = py.gil_ensure();
    /* HDF5 can be called while a Python error is on its way, to close a file. */
    object *type, *value, *traceback;
    py.err_fetch(&type, &value, &traceback);
    const buffer result = run_in_python(&py, decoding, data, size, cd_nelmts, cd_values);
    py.err_restore(type, value, traceback);
    py.gil_release(state);
    return result;
}

static buffer encode(const uint8_t *values, size_t size, size_t cd_nelmts,
                     const unsigned cd_values[]) {
    return run(0, values, size, cd_nelmts, cd_values);
}

static buffer decode(const uint8_t *payload, size_t size, size_t cd_nelmts,
                     const unsigned cd_values[]) {
    return run(1, payload, size, cd_nelmts, cd_values);
}

PLUGIN(52797, "numcodecs (n1store)")
