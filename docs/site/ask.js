// The page `ask`: answers that were computed beforehand, found by words. No server.
(function () {
  "use strict";
  const SYSTEMS = [
    [/\b(mac ?os|mac|osx|apple|m[1-5]|darwin)\b/, "macosx-arm64", "macOS on Apple silicon"],
    [/\b(windows|win(-amd64|32|64)?)\b/, "win-amd64", "Windows"],
    [/\b(linux|ubuntu|debian|docker|colab)\b/, "linux-x86_64", "Linux on x86-64"],
  ];
  const BASIS = {
    recorded: "This was run.", bracketed: "Run just below and above.",
    expected: "Expected, not run.", issue: "A known issue says so.", none: "",
  };
  const COLUMNS = ["platform", "Python", "TTS", "torch", "torchaudio", "torchcodec", "transformers",
    "install", "import", "load", "converted", "speak", "stream", "clone", "api"];
  const base = document.currentScript.src.replace(/site\/ask\.js.*$/, "");
  let loading = null;

  function after(name, text) {
    const found = text.match(new RegExp(`(?:^|[^a-z-])${name}(?:\\s|==|=|>=|:|v)*(\\d+(?:\\.\\d+)*)`));
    return found && found[1];
  }

  function closest(version, known) {
    if (known.includes(version)) return version;
    const within = known.filter((each) => each.startsWith(version + "."));
    return within.length ? within[within.length - 1] : null;
  }

  /** Return [class, text, codes] for a question. */
  function answer(data, question) {
    const text = question.toLowerCase();
    const keys = Object.keys(data.answers).map((key) => key.split("|"));
    const coqui = after("coqui[-_ ]?tts", text);
    const family = coqui || /coqui[-_ ]?tts/.test(text) ? "coqui-tts" : "TTS";
    const asked = coqui || after("tts", text);
    const releases = [...new Set(keys.map((key) => key[0]))].filter((each) => each.startsWith(family + " "))
      .map((each) => each.split(" ")[1]);
    const tts = asked ? closest(asked, releases) : releases[releases.length - 1];
    if (!tts) return ["unknown", `${family} ${asked} was never run. There are ${releases.join(", ")}.`, []];
    const minors = [...new Set(keys.map((key) => key[1]))];
    const wanted = after("(?:py)?torch", text);
    if (!wanted) return ["unknown", "Which torch? Write it like: torch 2.9", []];
    const minor = wanted.split(".").slice(0, 2).join(".");
    if (!minors.includes(minor)) {
      return ["unknown", `torch ${minor} was never run. There are ${minors.join(", ")}.`, []];
    }
    const system = SYSTEMS.find((each) => each[0].test(text)) || SYSTEMS[2];
    const found = data.answers[`${family} ${tts}|${minor}|${system[1]}`];
    const transformers = after("transformers", text);
    const known = found.with.map((each) => each[0]);
    const series = (version) => version.split(".").slice(0, 2).join(".");
    const chosen = transformers && (known.find((each) => each === transformers)
      || known.find((each) => series(each) === series(transformers)));
    if (transformers && !chosen) {
      return ["unknown", `With ${family} ${tts}, transformers ${transformers} is not in this table `
        + `(there are ${known.join(", ")}). Ask: xcompat doctor -r FILE`, []];
    }
    const [version, verdict, number, basis, codes] = found.with.find((each) => each[0] === (chosen || known[0]));
    return [verdict, `${data.texts[number]}. ${BASIS[basis]} (${family} ${tts}, torch ${found.torch}, `
      + `torchaudio ${found.torchaudio}, transformers ${version}, ${system[2]})`.replace(/ +/g, " "), codes];
  }

  function show(data) {
    const [verdict, text, codes] = answer(data, document.getElementById("ask-question").value);
    const place = document.getElementById("ask-answer");
    place.className = verdict;
    place.textContent = text + " ";
    for (const code of codes) {
      const link = document.createElement("a");
      link.href = `${base}issues/${code}/`;
      link.textContent = code;
      place.append(link, " ");
    }
  }

  function filter(data) {
    const words = document.getElementById("runs-filter").value.toLowerCase().split(/\s+/).filter(Boolean);
    const rows = data.runs.filter((run) => {
      const line = run.join(" ").toLowerCase();
      return words.every((word) => line.includes(word));
    });
    document.getElementById("runs-count").textContent = `${rows.length} of ${data.runs.length} runs`;
    const body = document.querySelector("#runs tbody");
    body.replaceChildren(...rows.map((run) => {
      const row = document.createElement("tr");
      row.append(...run.map((cell) => {
        const place = document.createElement("td");
        place.textContent = cell;
        return place;
      }));
      return row;
    }));
  }

  function start() {
    if (!document.getElementById("ask")) return;
    loading = loading || fetch(`${base}site/answers.json`).then((told) => told.json());
    loading.then((data) => {
      const head = document.createElement("tr");
      head.append(...COLUMNS.map((name) => {
        const cell = document.createElement("th");
        cell.textContent = name;
        return cell;
      }));
      document.querySelector("#runs thead").replaceChildren(head);
      document.getElementById("ask-question").addEventListener("input", () => show(data));
      document.getElementById("runs-filter").addEventListener("input", () => filter(data));
      const asked = new URLSearchParams(location.search).get("q");
      if (asked) document.getElementById("ask-question").value = asked;
      show(data);
      filter(data);
    });
  }

  // The theme changes pages without loading them anew, and says so.
  if (window.document$) window.document$.subscribe(start);
  else document.addEventListener("DOMContentLoaded", start);
}());
