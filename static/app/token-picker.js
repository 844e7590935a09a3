// A combobox over the tokens that can be traded: type to search, arrows to walk, Enter to take.

/** Dispatches `pick` when another token was taken. */
export class TokenPicker extends EventTarget {
  #tokens;
  #input;
  #list;
  #found = [];
  #active = 0;
  #token;

  constructor(input, tokens) {
    super();
    this.#tokens = tokens;
    this.#input = input;
    this.#list = document.getElementById(input.getAttribute("aria-controls"));
    input.addEventListener("focus", () => input.select());
    input.addEventListener("click", () => this.#open(""));
    input.addEventListener("input", () => this.#open(input.value));
    input.addEventListener("keydown", (event) => this.#pressed(event));
    input.addEventListener("blur", () => this.#close());
    this.#list.addEventListener("pointerdown", (event) => {
      event.preventDefault(); // the input keeps the focus
      const option = event.target.closest("[role=option]");
      if (option) this.#take(this.#found[Number(option.dataset.index)]);
    });
  }

  get token() {
    return this.#token;
  }

  set token(symbol) {
    const token = this.#tokens.find((each) => each.symbol === symbol);
    if (!token) return;
    this.#token = token;
    this.#input.value = token.symbol;
  }

  get isOpen() {
    return !this.#list.hidden;
  }

  #open(wanted) {
    const word = wanted.trim().toLowerCase();
    const rank = (token) => (token.symbol.toLowerCase().startsWith(word) ? 0 : 1);
    this.#found = this.#tokens
      .filter((token) => `${token.symbol} ${token.name}`.toLowerCase().includes(word))
      .sort((one, other) => rank(one) - rank(other));
    this.#active = Math.max(0, this.#found.indexOf(wanted === "" ? this.#token : this.#found[0]));
    this.#list.replaceChildren(...(this.#found.length ? this.#found.map((token, index) => this.#option(token, index)) : [none()]));
    this.#list.hidden = false;
    this.#input.setAttribute("aria-expanded", "true");
    this.#mark();
  }

  #option(token, index) {
    const option = document.createElement("li");
    option.setAttribute("role", "option");
    option.id = `${this.#list.id}-${index}`;
    option.dataset.index = index;
    const name = document.createElement("span");
    name.className = "soft small";
    name.textContent = token.name;
    option.append(token.symbol, name);
    return option;
  }

  #mark() {
    for (const option of this.#list.querySelectorAll("[role=option]")) {
      const isActive = Number(option.dataset.index) === this.#active;
      option.setAttribute("aria-selected", String(isActive));
      if (isActive) {
        this.#input.setAttribute("aria-activedescendant", option.id);
        option.scrollIntoView({ block: "nearest" });
      }
    }
  }

  #pressed(event) {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if (!this.isOpen) return this.#open("");
      const step = event.key === "ArrowDown" ? 1 : -1;
      this.#active = (this.#active + step + this.#found.length) % Math.max(1, this.#found.length);
      this.#mark();
    } else if (event.key === "Enter" && this.isOpen) {
      event.preventDefault(); // it takes the token, and doesn't place the order
      this.#take(this.#found[this.#active]);
    } else if (event.key === "Escape" && this.isOpen) {
      event.stopPropagation();
      this.#close();
    } else if (event.key === "Tab" && this.isOpen && this.#input.value !== this.#token?.symbol) {
      this.#take(this.#found[this.#active]);
    }
  }

  #take(token) {
    if (token) {
      const isOther = token !== this.#token;
      this.token = token.symbol;
      if (isOther) this.dispatchEvent(new Event("pick"));
    }
    this.#close();
  }

  /** What was typed and not taken is forgotten. */
  #close() {
    this.#list.hidden = true;
    this.#input.setAttribute("aria-expanded", "false");
    this.#input.removeAttribute("aria-activedescendant");
    this.#input.value = this.#token?.symbol ?? "";
  }
}

const none = () => {
  const line = document.createElement("li");
  line.className = "none";
  line.textContent = "No such token";
  return line;
};
